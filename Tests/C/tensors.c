/* Tensors: copies, borrowed memory, every dtype, and sizes nobody can have. */
#include "check.h"

static int destroyed;
static void *destroyed_user;
static void on_destroy(void *user) {
  destroyed++;
  destroyed_user = user;
  /* A destroy callback may call back. */
  CHECK(xfer_get_threads() >= 1);
  xfer_tensor *inner = tensor(XFER_F32, 1, 1, 1, 1, 1);
  xfer_tensor_release(inner);
}

int main(void) {
  const size_t sizes[] = {0, 4, 8, 2, 2, 1, 4, 8, 1};
  for (xfer_dtype dtype = XFER_F32; dtype <= XFER_BOOL; dtype++) {
    unsigned char bytes[48];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 5 + 1);
    int64_t dims[2] = {2, 3};
    xfer_tensor *made = NULL;
    OK(xfer_tensor_create(dtype, 2, dims, bytes, &made));
    xfer_dtype type = 0;
    int32_t rank = 0;
    int64_t shape[8] = {0};
    void *data = NULL;
    OK(xfer_tensor_describe(made, &type, &rank, shape, &data));
    CHECK(type == dtype && rank == 2 && shape[0] == 2 && shape[1] == 3);
    CHECK(data != bytes && memcmp(data, bytes, 6 * sizes[dtype]) == 0);
    CHECK((uintptr_t)data % 64 == 0);
    OK(xfer_tensor_describe(made, NULL, NULL, NULL, NULL));
    xfer_tensor_release(made);
  }

  /* Zeros, scalars, empty ones, the highest rank. */
  xfer_tensor *zeros = tensor(XFER_F32, 2, 5, 7, 1, 1);
  float *values = data_of(zeros);
  for (int i = 0; i < 35; i++) CHECK(values[i] == 0.0f);
  xfer_tensor_release(zeros);
  xfer_tensor *scalar = NULL;
  OK(xfer_tensor_create(XFER_F32, 0, NULL, NULL, &scalar));
  CHECK(count_of(scalar) == 1);
  xfer_tensor_release(scalar);
  xfer_tensor *empty = tensor(XFER_F32, 2, 0, 7, 1, 1);
  CHECK(count_of(empty) == 0);
  xfer_tensor_release(empty);
  int64_t ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
  xfer_tensor *deep = NULL;
  OK(xfer_tensor_create(XFER_F32, 8, ones, NULL, &deep));
  xfer_tensor_release(deep);

  /* What cannot be: the out-parameter stays. */
  void *mark = &destroyed;
  xfer_tensor *none = mark;
  const int64_t negative[2] = {3, -1}, huge[3] = {INT64_MAX, INT64_MAX, 2}, big[2] = {(int64_t)1 << 31, (int64_t)1 << 31};
  FAILS(xfer_tensor_create(XFER_F32, 9, ones, NULL, &none), XFER_E_SHAPE, "9 was given");
  FAILS(xfer_tensor_create(XFER_F32, -1, ones, NULL, &none), XFER_E_SHAPE, "-1 was given");
  FAILS(xfer_tensor_create(XFER_F32, 2, negative, NULL, &none), XFER_E_SHAPE, "-1");
  FAILS(xfer_tensor_create(XFER_F32, 3, huge, NULL, &none), XFER_E_SHAPE, "too large");
  FAILS(xfer_tensor_create(XFER_U8, 2, big, NULL, &none), XFER_E_OUT_OF_MEMORY, "4611686018427387904");
  FAILS(xfer_tensor_create(XFER_F32, 2, NULL, NULL, &none), XFER_E_INVALID_ARGUMENT, "dims is NULL");
  FAILS(xfer_tensor_create(0, 1, ones, NULL, &none), XFER_E_DTYPE, "dtype 0");
  FAILS(xfer_tensor_create(9, 1, ones, NULL, &none), XFER_E_DTYPE, "dtype 9");
  FAILS(xfer_tensor_create(XFER_F32, 1, ones, NULL, NULL), XFER_E_INVALID_ARGUMENT, "tensor is NULL");
  CHECK(none == mark);

  /* Borrowed memory: in place, and given back once, when nobody uses it any more. */
  float memory[4] = {1, 2, 3, 4};
  int64_t four = 4;
  xfer_tensor *borrowed = NULL;
  OK(xfer_tensor_wrap(XFER_F32, 1, &four, memory, on_destroy, memory, &borrowed));
  CHECK(data_of(borrowed) == (void *)memory && destroyed == 0);
  xfer_tensor_release(borrowed);
  CHECK(destroyed == 1 && destroyed_user == memory);
  xfer_tensor_release(borrowed);
  CHECK(destroyed == 1);
  OK(xfer_tensor_wrap(XFER_F32, 1, &four, memory, NULL, NULL, &borrowed));
  xfer_tensor_release(borrowed);

  /* A failed call keeps nothing: the memory stays the caller's. */
  none = mark;
  FAILS(xfer_tensor_wrap(XFER_F32, 1, &four, NULL, on_destroy, NULL, &none), XFER_E_INVALID_ARGUMENT, "data is NULL");
  FAILS(xfer_tensor_wrap(XFER_F32, 2, negative, memory, on_destroy, NULL, &none), XFER_E_SHAPE, "-1");
  FAILS(xfer_tensor_wrap(XFER_F32, 1, ones, (char *)memory + 1, on_destroy, NULL, &none), XFER_E_INVALID_ARGUMENT, "aligned");
  CHECK(destroyed == 1 && none == mark);

  /* A recorded call holds its input until the tape goes. */
  xfer_tape *tape = NULL;
  OK(xfer_tape_create(&tape));
  int64_t row[2] = {1, 4};
  OK(xfer_tensor_wrap(XFER_F32, 2, row, memory, on_destroy, &four, &borrowed));
  xfer_layer *dense = layer("Dense", "{\"units\":2}");
  xfer_tensor *out = NULL;
  OK(xfer_layer_call(dense, &borrowed, 1, XFER_TRAINING_DEFAULT, tape, &out));
  xfer_tensor_release(borrowed);
  CHECK(destroyed == 1);
  xfer_tape_release(tape);
  CHECK(destroyed == 2 && destroyed_user == &four);
  CHECK(count_of(out) == 2);
  xfer_tensor_release(out);
  xfer_layer_release(dense);
  return finish();
}
