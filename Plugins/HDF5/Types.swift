import CHDF5
import CXfer

/// Bytes of one element.
func elementSize(_ dtype: xfer_dtype) -> Int {
  switch dtype {
  case XFER_F64, XFER_I64: 8
  case XFER_F32, XFER_I32: 4
  case XFER_F16, XFER_BF16: 2
  case XFER_U8, XFER_BOOL: 1
  default: 0
  }
}

/// The dtype a stored type is read as, nil where it is no number.
func dtype(of type: hid_t) -> xfer_dtype? {
  let size = H5Tget_size(type)
  switch H5Tget_class(type) {
  case H5T_FLOAT:
    if size == 2 { return isBFloat16(type) ? XFER_BF16 : XFER_F16 }
    return size == 4 ? XFER_F32 : XFER_F64
  case H5T_INTEGER:
    let signed = H5Tget_sign(type) != H5T_SGN_NONE
    if size == 1, !signed { return XFER_U8 }
    return size < 4 || (size == 4 && signed) ? XFER_I32 : XFER_I64
  case H5T_ENUM:
    // numpy's bool as h5py writes it: FALSE and TRUE over a byte.
    return size == 1 && H5Tget_nmembers(type) == 2 ? XFER_BOOL : nil
  default: return nil
  }
}

private func isBFloat16(_ type: hid_t) -> Bool {
  var sign = 0
  var exponent = 0
  var exponentBits = 0
  var mantissa = 0
  var mantissaBits = 0
  return H5Tget_fields(type, &sign, &exponent, &exponentBits, &mantissa, &mantissaBits) >= 0 && exponentBits == 8
}

/// The type for elements of `dtype` in memory; the caller closes it.
func memoryType(_ dtype: xfer_dtype) -> hid_t {
  switch dtype {
  case XFER_F32: return H5Tcopy(xfer_h5_float32())
  case XFER_F64: return H5Tcopy(xfer_h5_float64())
  case XFER_F16: return half(exponentBits: 5, mantissaBits: 10)
  case XFER_BF16: return half(exponentBits: 8, mantissaBits: 7)
  case XFER_U8: return H5Tcopy(xfer_h5_uint8())
  case XFER_I32: return H5Tcopy(xfer_h5_int32())
  case XFER_I64: return H5Tcopy(xfer_h5_int64())
  case XFER_BOOL: return boolean()
  default: return -1
  }
}

private func half(exponentBits: Int, mantissaBits: Int) -> hid_t {
  let type = H5Tcopy(xfer_h5_float32())
  // Fields first: the size can only shrink to what they need.
  guard H5Tset_fields(type, 15, mantissaBits, exponentBits, 0, mantissaBits) >= 0, H5Tset_size(type, 2) >= 0,
    H5Tset_ebias(type, 1 << (exponentBits - 1) - 1) >= 0
  else {
    H5Tclose(type)
    return -1
  }
  return type
}

private func boolean() -> hid_t {
  let type = H5Tenum_create(xfer_h5_int8())
  var value: Int8 = 0
  var result = H5Tenum_insert(type, cString("FALSE"), &value)
  value = 1
  if result >= 0 { result = H5Tenum_insert(type, cString("TRUE"), &value) }
  if result >= 0 { return type }
  H5Tclose(type)
  return -1
}
