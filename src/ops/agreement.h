#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string_view>
#include <vector>

namespace shine {

using FormInputs = std::vector<at::Tensor>;
using Form = std::function<at::Tensor(const FormInputs&)>;

/// Whether a faster form agrees with the readable one, so that a change of the readable form takes effect: values with
/// gradients, values in inference mode, and the gradients of all inputs and parameters, within `tolerance` relative to
/// their norm.
/// Call it once per process, on inputs so small that it costs nothing. Where they differ, or the faster form throws,
/// the log warns that the readable form runs.
/// @param readable  runs with the reference of every operation (ReferenceForms)
/// @param inputs      float32 or float64 on the CPU
/// @param parameters  what both forms read beside their inputs and takes a gradient
bool forms_agree(std::string_view name, const Form& readable, const Form& fused, const FormInputs& inputs,
                 const std::vector<at::Tensor>& parameters = {}, double tolerance = 1e-4);

/// `compare()`, which calls forms_agree, out of inference mode: an operation may be first called in it, and what is
/// made in it has no gradients.
bool outside_inference_mode(const std::function<bool()>& compare);

/// Values from a normal distribution, from a generator of its own: the process's is left alone.
FormInputs form_inputs(const std::vector<std::vector<std::int64_t>>& shapes, double deviation = 1.0);

/// Adds such values to the vectors among `parameters`: a form that leaves out a norm's weight or a bias differs then.
void perturb_vectors(const std::vector<at::Tensor>& parameters);

}  // namespace shine
