public import CXfer
public import XferCore

extension Graph {
  /// One SGD step of `variable` along `gradient`; `rate` is a state tensor [1].
  public func sgd(_ variable: Variable, gradient: ValueID, rate: Tensor, momentum: Float, nesterov: Bool, velocity: Tensor?) {
    let attributes = xfer_sgd_attributes(struct_size: sized(xfer_sgd_attributes.self), momentum: momentum, nesterov: nesterov ? 1 : 0)
    let slots = velocity.map { [$0] } ?? []
    update(
      .sgd, .sgd(attributes), [self.variable(variable)] + slots.map { state($0) } + [gradient, state(rate)],
      targets: [(variable.tensor, variable)] + slots.map { ($0, nil) })
  }

  /// One Adam step (Kingma & Ba 2015, ε outside the bias correction as in Keras); `alpha` [1] holds the corrected rate.
  public func adam(
    _ variable: Variable, gradient: ValueID, alpha: Tensor, beta1: Float, beta2: Float, epsilon: Float, momentum: Tensor, velocity: Tensor
  ) {
    let attributes = xfer_adam_attributes(struct_size: sized(xfer_adam_attributes.self), beta_1: beta1, beta_2: beta2, epsilon: epsilon)
    update(
      .adam, .adam(attributes), [self.variable(variable), state(momentum), state(velocity), gradient, state(alpha)],
      targets: [(variable.tensor, variable), (momentum, nil), (velocity, nil)])
  }
}
