// swift-tools-version: 6.2
import PackageDescription

let root = Context.packageDirectory

/// Swift for kernels and codecs: no Swift runtime in the plugin, one exported symbol.
func pluginSwift(machine: [String] = [], defines: [String] = []) -> [SwiftSetting] {
  var flags = ["-wmo", "-Ounchecked"]
  flags += machine.flatMap { ["-Xcc", "-m\($0)"] }
  return [.enableExperimentalFeature("Embedded"), .unsafeFlags(flags), .define("XFER_PLUGIN")] + defines.map { .define($0) }
}
func pluginLinker(_ extra: [String] = []) -> [LinkerSetting] {
  [
    .unsafeFlags(
      [
        "-use-ld=lld", "-no-toolchain-stdlib-rpath", "-Xlinker", "--version-script=\(root)/Plugins/plugin.map",
        "-Xlinker", "--undefined-version", "-Xlinker", "-z", "-Xlinker", "defs", "-Xlinker", "--gc-sections", "-Xlinker", "--as-needed",
      ] + extra)
  ]
}
/// A plugin: a target of its own and a dynamic product `libxfer-NAME.so`.
func plugin(_ target: String, path: String, dependencies: [Target.Dependency] = [], machine: [String] = [], defines: [String] = [])
  -> Target
{
  .target(
    name: target, dependencies: ["CXfer", "CPluginSupport"] + dependencies, path: path,
    swiftSettings: pluginSwift(machine: machine, defines: defines), linkerSettings: pluginLinker())
}

let plugins: [(product: String, target: Target)] = [
  ("xfer-naive", plugin("NaivePlugin", path: "Plugins/Variants/Naive", dependencies: ["CPluginMath"])),
  (
    "xfer-simd-avx512",
    plugin("SIMDAVX512", path: "Plugins/Variants/SIMD-avx512", machine: ["arch=x86-64-v4"], defines: ["XFER_ISA_AVX512"])
  ),
  (
    "xfer-simd-avx512bf16",
    plugin(
      "SIMDAVX512BF16", path: "Plugins/Variants/SIMD-avx512bf16", machine: ["arch=x86-64-v4", "avx512bf16"],
      defines: ["XFER_ISA_AVX512", "XFER_ISA_AVX512BF16"])
  ),
  (
    "xfer-simd-amx",
    plugin(
      "SIMDAMX", path: "Plugins/Variants/SIMD-amx", machine: ["arch=x86-64-v4", "avx512bf16", "amx-tile", "amx-bf16"],
      defines: ["XFER_ISA_AVX512", "XFER_ISA_AVX512BF16", "XFER_ISA_AMX"])
  ),
  ("xfer-simd-avx2", plugin("SIMDAVX2", path: "Plugins/Variants/SIMD-avx2", machine: ["arch=x86-64-v3"], defines: ["XFER_ISA_AVX2"])),
  ("xfer-simd-baseline", plugin("SIMDBaseline", path: "Plugins/Variants/SIMD-baseline")),
  ("xfer-blas", plugin("BLASPlugin", path: "Plugins/BLAS", dependencies: ["CPluginMath", "CBLASLoader"])),
  ("xfer-onednn", plugin("OneDNNPlugin", path: "Plugins/OneDNN", dependencies: ["COneDNN"])),
  ("xfer-hdf5", plugin("HDF5Plugin", path: "Plugins/HDF5", dependencies: ["CHDF5"])),
  ("xfer-images", plugin("ImagesPlugin", path: "Plugins/Images", dependencies: ["CTurboJPEG", "CPNG"])),
  ("xfer-zip", plugin("ZipPlugin", path: "Plugins/Zip", dependencies: ["CZip"])),
]

/// libxfer.so.1: the Swift runtime inside, the listed functions outside.
let dylibLinker: [LinkerSetting] = [
  .unsafeFlags([
    "-use-ld=lld", "-static-stdlib", "-no-toolchain-stdlib-rpath",
    "-Xlinker", "-soname=libxfer.so.1", "-Xlinker", "--version-script=\(root)/Sources/XferDylib/libxfer.map",
    "-Xlinker", "-z", "-Xlinker", "defs",
    "-l_FoundationCollections", "-l_FoundationCShims", "-lswiftSynchronization",
  ])
]

/// The command carries the Swift runtime too, so that the install tree runs where no Swift is.
let commandLinker: [LinkerSetting] = [
  .unsafeFlags([
    "-use-ld=lld", "-static-stdlib", "-no-toolchain-stdlib-rpath", "-l_FoundationCollections", "-l_FoundationCShims",
    "-lswiftSynchronization",
  ])
]

let package = Package(
  name: "xfer",
  products: [
    .library(name: "Xfer", targets: ["Xfer"]),
    .library(name: "xfer", type: .dynamic, targets: ["XferDylib"]),
    .executable(name: "xfer-cli", targets: ["xfer-cli"]),
  ] + plugins.map { .library(name: $0.product, type: .dynamic, targets: [$0.target.name]) },
  dependencies: [.package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")],
  targets: [
    .target(name: "CXfer"),
    .target(name: "CPluginSupport", path: "Plugins/CPluginSupport"),
    .systemLibrary(name: "CBLASLoader", path: "Plugins/BLAS/CBLASLoader"),
    .systemLibrary(name: "COneDNN", path: "Plugins/OneDNN/COneDNN"),
    .systemLibrary(name: "CHDF5", path: "Plugins/HDF5/CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(
      name: "CTurboJPEG", path: "Plugins/Images/CTurboJPEG", pkgConfig: "libturbojpeg", providers: [.apt(["libturbojpeg0-dev"])]),
    .systemLibrary(name: "CPNG", path: "Plugins/Images/CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CZip", path: "Plugins/Zip/CZip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),
    .target(name: "CPluginMath", path: "Plugins/CPluginMath", linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    .target(name: "XferNaive", dependencies: ["CXfer", "CPluginMath"], path: "Plugins/Naive"),
    .target(name: "XferConformance", dependencies: ["CXfer"]),
    .systemLibrary(name: "CFFI", path: "Sources/CFFI", pkgConfig: "libffi", providers: [.apt(["libffi-dev"])]),
    .target(name: "CPlatform", cSettings: [.define("_GNU_SOURCE")]),
    .target(name: "XferCore", dependencies: ["CXfer", "CPlatform", "XferNaive"]),
    .target(name: "XferGraph", dependencies: ["XferCore"]),
    .target(name: "Xfer", dependencies: ["XferGraph", "CFFI"]),
    .target(name: "XferABI", dependencies: ["Xfer", "CXfer"]),
    .target(name: "XferDylib", dependencies: ["XferABI"], linkerSettings: dylibLinker),
    .executableTarget(
      name: "xfer-cli",
      dependencies: [
        "Xfer", "CXfer", "CPlatform", "XferConformance", "XferNaive", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      linkerSettings: commandLinker),
    .executableTarget(name: "transfer-example", dependencies: ["Xfer"], path: "Examples/swift", linkerSettings: commandLinker),
    .testTarget(name: "ConformanceTests", dependencies: ["XferConformance"], path: "Tests/ConformanceTests"),
    .testTarget(name: "XferTests", dependencies: ["Xfer", "CXfer"], path: "Tests/XferTests"),
    .testTarget(name: "CodecTests", dependencies: ["CXfer", "XferConformance"], path: "Tests/CodecTests", exclude: ["Fixtures"]),
  ] + plugins.map(\.target),
  swiftLanguageModes: [.v6]
)
