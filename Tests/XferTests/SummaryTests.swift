import Testing
import XferCore
@testable import Xfer

/// Tables as Keras 3.15.1 printed them for the same models.
@Suite struct SummaryTests {
  private func guideModel() throws -> (model: Model, base: Model) {
    let base = try Application.make("Xception", config: ["input_shape": [150, 150, 3]])
    base.trainable = false
    let input = try Input(shape: [150, 150, 3], name: "input_layer")
    let pooled = try GlobalAveragePooling2D(name: "global_average_pooling2d")(base(input, training: false))
    return (try Model(input, Dense(1, name: "dense")(pooled), name: "whole"), base)
  }

  @Test func narrow() throws {
    let wanted = """
      Model: "whole"
      ┏━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━┓
      ┃                 ┃ Output     ┃ Param ┃
      ┃ Layer (type)    ┃ Shape      ┃     # ┃
      ┡━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━┩
      │ input_layer     │ (None,     │     0 │
      │ (InputLayer)    │ 150, 150,  │       │
      │                 │ 3)         │       │
      ├─────────────────┼────────────┼───────┤
      │ xception        │ (None, 5,  │ 20,8… │
      │ (Functional)    │ 5, 2048)   │       │
      ├─────────────────┼────────────┼───────┤
      │ global_average… │ (None,     │     0 │
      │ (GlobalAverage… │ 2048)      │       │
      ├─────────────────┼────────────┼───────┤
      │ dense (Dense)   │ (None, 1)  │ 2,049 │
      └─────────────────┴────────────┴───────┘
       Total params: 20,863,529 (79.59 MB)
       Trainable params: 2,049 (8.00 KB)
       Non-trainable params: 20,861,480 (79.58 MB)

      """
    #expect(try guideModel().model.summary(width: 40) == wanted)
  }

  @Test func withTrainable() throws {
    let wanted = """
      Model: "whole"
      ┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
      ┃ Layer (type)                          ┃ Output Shape                  ┃        Param # ┃ Traina… ┃
      ┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
      │ input_layer (InputLayer)              │ (None, 150, 150, 3)           │              0 │    -    │
      ├───────────────────────────────────────┼───────────────────────────────┼────────────────┼─────────┤
      │ xception (Functional)                 │ (None, 5, 5, 2048)            │     20,861,480 │    N    │
      ├───────────────────────────────────────┼───────────────────────────────┼────────────────┼─────────┤
      │ global_average_pooling2d              │ (None, 2048)                  │              0 │    -    │
      │ (GlobalAveragePooling2D)              │                               │                │         │
      ├───────────────────────────────────────┼───────────────────────────────┼────────────────┼─────────┤
      │ dense (Dense)                         │ (None, 1)                     │          2,049 │    Y    │
      └───────────────────────────────────────┴───────────────────────────────┴────────────────┴─────────┘
       Total params: 20,863,529 (79.59 MB)
       Trainable params: 2,049 (8.00 KB)
       Non-trainable params: 20,861,480 (79.58 MB)

      """
    #expect(try guideModel().model.summary(width: 100, showTrainable: true) == wanted)
  }

  @Test func branchesAreConnected() throws {
    let base = try guideModel().base
    base.trainable = true
    let text = base.summary()
    let wanted = """
      ├─────────────────────┼───────────────────┼────────────┼───────────────────┤
      │ conv2d (Conv2D)     │ (None, 36, 36,    │      8,192 │ block1_conv2_act… │
      │                     │ 128)              │            │                   │
      ├─────────────────────┼───────────────────┼────────────┼───────────────────┤
      │ block2_pool         │ (None, 36, 36,    │          0 │ block2_sepconv2_… │
      │ (MaxPooling2D)      │ 128)              │            │                   │
      ├─────────────────────┼───────────────────┼────────────┼───────────────────┤
      │ batch_normalization │ (None, 36, 36,    │        512 │ conv2d[0][0]      │
      │ (BatchNormalizatio… │ 128)              │            │                   │
      ├─────────────────────┼───────────────────┼────────────┼───────────────────┤
      │ add (Add)           │ (None, 36, 36,    │          0 │ block2_pool[0][0… │
      │                     │ 128)              │            │ batch_normalizat… │
      ├─────────────────────┼───────────────────┼────────────┼───────────────────┤
      """
    #expect(text.contains(wanted))
    #expect(text.hasPrefix("Model: \"xception\"\n┏━━━━━━━━━━━━━━━━━━━━━┳"))
    #expect(
      text.hasSuffix(
        """
         Total params: 20,861,480 (79.58 MB)
         Trainable params: 20,806,952 (79.37 MB)
         Non-trainable params: 54,528 (213.00 KB)

        """))
  }

  @Test func aCompiledModelCountsItsOptimizer() throws {
    let (model, base) = try guideModel()
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    #expect(model.summary().contains(" Total params: 20,867,629 (79.60 MB)\n"))
    #expect(model.summary().hasSuffix(" Optimizer params: 4,100 (16.02 KB)\n"))
    base.trainable = true
    #expect(model.summary().contains(" Trainable params: 20,809,001 (79.38 MB)\n Non-trainable params: 54,528 (213.00 KB)\n"))
  }

  @Test func numbers() {
    #expect([0, 999, 1000, 20_861_480].map { grouped($0) } == ["0", "999", "1,000", "20,861,480"])
    #expect([0, 748, 1608, 83_445_920].map { readableSize($0) } == ["0.00 B", "748.00 B", "1.57 KB", "79.58 MB"])
  }
}
