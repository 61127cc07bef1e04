#include "kernels/cuda/cuda_ops.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <dlfcn.h>

#include <fstream>
#include <iterator>

#include "common/format.h"
#include "common/hash.h"
#include "kernels/cuda/kernels.h"
#include "shine/common/error.h"

namespace shine {
namespace {

cuda::ValueType value_type(const at::Tensor& x) {
  SHINE_CHECK(x.is_cuda() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16), UnsupportedError,
              "GPU kernel: a tensor of ", x.dtype().name(), " on ", x.device().str(),
              ", expected float32 or bfloat16 on a GPU");
  return x.scalar_type() == at::kFloat ? cuda::ValueType::float32 : cuda::ValueType::bfloat16;
}

/// Contiguous, in the dtype and on the device of `like`.
at::Tensor ready(const at::Tensor& tensor, const at::Tensor& like) {
  return tensor.to(like.options()).contiguous();
}

const void* data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr() : nullptr;
}

void* out(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr() : nullptr;
}

/// Launches on the tensor's device and its current stream.
template <class Launcher, class Args>
void launch(Launcher launcher, const Args& args, const at::Tensor& on) {
  const c10::cuda::CUDAGuard guard(on.device());
  launcher(args, c10::cuda::getCurrentCUDAStream().stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

std::int64_t rows_of(const at::Tensor& x) {
  return x.size(-1) == 0 ? 0 : x.numel() / x.size(-1);
}

void check_heads(const at::Tensor& x, const RopeTable& table) {
  const bool fits = x.dim() == 3 && x.size(2) % 2 == 0 && table.cos.numel() == x.size(0) * x.size(2) &&
                    table.sin.sizes() == table.cos.sizes();
  SHINE_CHECK(fits, ShapeError, "rope kernel: x ", x.sizes(), ", table ", table.cos.sizes(),
              ": expected (N, heads, d) and (N, 1, d) with d even");
}

}  // namespace

bool takes_cuda_kernel(CudaKernel kernel, const at::Tensor& x) {
  return x.is_cuda() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && use_cuda_kernel(kernel);
}

int cuda_architecture(at::Device device) {
  int major = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index()));
  return major;
}

std::string cuda_build(at::Device device) {
  const cudaDeviceProp* properties = at::cuda::getDeviceProperties(device.index());
  int driver = 0;
  C10_CUDA_CHECK(cudaDriverGetVersion(&driver));
  Dl_info file{};
  ::dladdr(reinterpret_cast<const void*>(&cuda_architecture), &file);
  std::ifstream in(file.dli_fname != nullptr ? file.dli_fname : "", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  Fnv1a hash;
  hash.add_bytes(bytes).add_bytes(properties->name).add(std::int64_t{driver});
  return format("%016llx", static_cast<unsigned long long>(hash.value()));
}

CudaRmsNorm cuda_rms_norm(const at::Tensor& input, const at::Tensor& weight, double eps) {
  const at::Tensor x = input.contiguous(), factors = ready(weight, x);
  SHINE_CHECK(x.dim() > 0 && factors.sizes() == at::IntArrayRef({x.size(-1)}), ShapeError, "RMSNorm kernel: x ",
              x.sizes(), ", weight ", factors.sizes());
  auto statistics = x.sizes().vec();
  statistics.back() = 1;
  const CudaRmsNorm result{at::empty_like(x), at::empty(statistics, x.options().dtype(at::kFloat))};
  launch(cuda::rms_norm_forward,
         cuda::RmsNormForward{value_type(x), rows_of(x), x.size(-1), data(x), data(factors), out(result.y),
                              result.inverse.mutable_data_ptr<float>(), static_cast<float>(eps)},
         x);
  return result;
}

at::Tensor cuda_rms_norm_backward(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                  const at::Tensor& inverse, const at::Tensor& residual_gradient) {
  const at::Tensor x = input.contiguous(), dy = ready(gradient, x), factors = ready(weight, x);
  const at::Tensor added = residual_gradient.defined() ? ready(residual_gradient, x) : at::Tensor();
  const at::Tensor dx = at::empty_like(x);
  launch(cuda::rms_norm_backward,
         cuda::RmsNormBackward{value_type(x), rows_of(x), x.size(-1), data(dy), data(x), data(factors), data(added),
                               inverse.const_data_ptr<float>(), out(dx)},
         x);
  return dx;
}

at::Tensor cuda_rms_norm_weight_gradient(const at::Tensor& gradient, const at::Tensor& input,
                                         const at::Tensor& inverse) {
  constexpr std::int64_t rows_a_part = 256, most_parts = 128;
  const at::Tensor x = input.contiguous(), dy = ready(gradient, x);
  const std::int64_t rows = rows_of(x), width = x.size(-1);
  const std::int64_t parts = std::clamp<std::int64_t>(rows / rows_a_part, 1, most_parts);
  const at::Tensor partial = at::empty({parts, width}, x.options().dtype(at::kFloat));
  const at::Tensor result = at::empty({width}, x.options());
  launch(cuda::rms_norm_weight_gradient,
         cuda::RmsNormWeightGradient{value_type(x), rows, width, parts, data(dy), data(x),
                                     inverse.const_data_ptr<float>(), partial.mutable_data_ptr<float>(), out(result)},
         x);
  return result;
}

at::Tensor cuda_rope(const at::Tensor& input, const RopeTable& table, bool inverse) {
  check_heads(input, table);
  const at::Tensor x = input.contiguous(), cos = ready(table.cos, x), sin = ready(table.sin, x);
  const at::Tensor y = at::empty_like(x);
  launch(cuda::apply_rope,
         cuda::Rope{value_type(x), x.size(0), x.size(1), x.size(2), data(x), data(cos), data(sin), out(y), inverse}, x);
  return y;
}

std::pair<at::Tensor, at::Tensor> cuda_norm_rope(const at::Tensor& input, const at::Tensor& weight,
                                                 const RopeTable& table, double eps) {
  check_heads(input, table);
  const at::Tensor x = input.contiguous(), factors = ready(weight, x), cos = ready(table.cos, x),
                   sin = ready(table.sin, x);
  SHINE_CHECK(factors.sizes() == at::IntArrayRef({x.size(2)}), ShapeError, "norm and rope kernel: x ", x.sizes(),
              ", weight ", factors.sizes());
  const at::Tensor y = at::empty_like(x);
  const at::Tensor inverse = at::empty({x.size(0), x.size(1), 1}, x.options().dtype(at::kFloat));
  launch(cuda::norm_rope_forward,
         cuda::NormRopeForward{value_type(x), x.size(0), x.size(1), x.size(2), data(x), data(factors), data(cos),
                               data(sin), out(y), inverse.mutable_data_ptr<float>(), static_cast<float>(eps)},
         x);
  return {y, inverse};
}

at::Tensor cuda_norm_rope_backward(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                   const RopeTable& table, const at::Tensor& inverse) {
  const at::Tensor x = input.contiguous(), dy = ready(gradient, x), factors = ready(weight, x),
                   cos = ready(table.cos, x), sin = ready(table.sin, x);
  const at::Tensor dx = at::empty_like(x);
  launch(cuda::norm_rope_backward,
         cuda::NormRopeBackward{value_type(x), x.size(0), x.size(1), x.size(2), data(dy), data(x), data(factors),
                                data(cos), data(sin), inverse.const_data_ptr<float>(), out(dx)},
         x);
  return dx;
}

at::Tensor cuda_swiglu(const at::Tensor& gate, const at::Tensor& up) {
  const at::Tensor gates = gate.contiguous(), ups = ready(up, gates), y = at::empty_like(gates);
  launch(cuda::swiglu_forward, cuda::SwiGluForward{value_type(gates), gates.numel(), data(gates), data(ups), out(y)},
         gates);
  return y;
}

std::pair<at::Tensor, at::Tensor> cuda_swiglu_backward(const at::Tensor& gradient, const at::Tensor& gate,
                                                       const at::Tensor& up) {
  const at::Tensor gates = gate.contiguous(), ups = ready(up, gates), dy = ready(gradient, gates);
  const at::Tensor dgate = at::empty_like(gates), dup = at::empty_like(gates);
  launch(cuda::swiglu_backward,
         cuda::SwiGluBackward{value_type(gates), gates.numel(), data(dy), data(gates), data(ups), out(dgate), out(dup)},
         gates);
  return {dgate, dup};
}

at::Tensor cuda_cross_entropy_(const at::Tensor& logits, const at::Tensor& targets, bool gradient) {
  SHINE_CHECK(logits.dim() == 2 && logits.is_contiguous() && targets.sizes() == at::IntArrayRef({logits.size(0)}) &&
                  targets.scalar_type() == at::kLong,
              ShapeError, "cross-entropy kernel: logits ", logits.sizes(), ", targets ", targets.sizes());
  const at::Tensor wanted = targets.to(logits.device()).contiguous();
  const at::Tensor losses = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  launch(cuda::cross_entropy,
         cuda::CrossEntropy{value_type(logits), logits.size(0), logits.size(1), out(logits),
                            wanted.const_data_ptr<std::int64_t>(), losses.mutable_data_ptr<float>(), gradient},
         logits);
  return losses;
}

namespace {

/// The bytes of a table on the device.
template <class Entry>
at::Tensor upload(const std::vector<Entry>& table, at::Device device) {
  const auto bytes = static_cast<std::int64_t>(table.size() * sizeof(Entry));
  const at::Tensor on_host = at::empty({bytes}, at::kByte);
  if (bytes > 0) std::memcpy(on_host.mutable_data_ptr(), table.data(), static_cast<std::size_t>(bytes));
  return on_host.to(device);
}

template <class Entry>
const Entry* entries(const at::Tensor& table) {
  return static_cast<const Entry*>(table.const_data_ptr());
}

}  // namespace

CudaOptimizer::CudaOptimizer(const std::vector<cuda::FlatRange>& ranges, const std::vector<std::int64_t>& place_groups,
                             const std::vector<double>& weight_decay, at::Device device)
    : places_(static_cast<std::int64_t>(place_groups.size())), groups_(static_cast<std::int64_t>(weight_decay.size())) {
  const cuda::FlatTables tables = cuda::cut_into_chunks(ranges);
  chunk_count_ = static_cast<std::int64_t>(tables.chunks.size());
  part_count_ = static_cast<std::int64_t>(tables.parts.size());
  chunks_ = upload(tables.chunks, device);
  parts_ = upload(tables.parts, device);
  const auto on_device = at::TensorOptions().device(device);
  place_groups_ = at::tensor(place_groups, at::TensorOptions().dtype(at::kLong)).to(device);
  weight_decay_ = at::tensor(weight_decay, at::TensorOptions().dtype(at::kDouble)).to(device, at::kFloat);
  partial_ = at::empty({chunk_count_}, on_device.dtype(at::kDouble));
  factors_ = at::ones({groups_}, on_device.dtype(at::kFloat));
  finite_ = at::ones({1}, on_device.dtype(at::kInt));
}

at::Tensor CudaOptimizer::squares(const at::Tensor& gradients, double scale) {
  const at::Tensor squares = at::zeros({places_}, partial_.options());
  launch(cuda::square_sums,
         cuda::SquareSums{gradients.const_data_ptr<float>(), entries<cuda::FlatChunk>(chunks_), chunk_count_,
                          entries<cuda::FlatPart>(parts_), part_count_, scale, partial_.mutable_data_ptr<double>(),
                          squares.mutable_data_ptr<double>()},
         partial_);
  return squares;
}

void CudaOptimizer::set_factors(const at::Tensor& squares, ClipKind clip, double scale, double limit) {
  launch(
      cuda::clip_factors,
      cuda::ClipFactors{clip == ClipKind::none     ? cuda::ClipFactors::Form::none
                        : clip == ClipKind::global ? cuda::ClipFactors::Form::global
                                                   : cuda::ClipFactors::Form::per_group,
                        scale, limit, squares.const_data_ptr<double>(), place_groups_.const_data_ptr<std::int64_t>(),
                        places_, groups_, factors_.mutable_data_ptr<float>(), finite_.mutable_data_ptr<std::int32_t>()},
      factors_);
}

void CudaOptimizer::update(const Memory& memory, const Rates& rates) {
  const auto age = static_cast<double>(rates.step);
  launch(cuda::adamw,
         cuda::AdamW{entries<cuda::FlatChunk>(chunks_), chunk_count_, memory.values.mutable_data_ptr<float>(),
                     memory.gradients.const_data_ptr<float>(), memory.first.mutable_data_ptr<float>(),
                     memory.second.mutable_data_ptr<float>(), factors_.const_data_ptr<float>(),
                     finite_.const_data_ptr<std::int32_t>(), weight_decay_.const_data_ptr<float>(),
                     static_cast<float>(rates.learning_rate), static_cast<float>(rates.beta1),
                     static_cast<float>(rates.beta2), static_cast<float>(rates.epsilon),
                     static_cast<float>(1.0 - rates.beta1), static_cast<float>(1.0 - rates.beta2),
                     static_cast<float>(1.0 - std::pow(rates.beta1, age)),
                     static_cast<float>(std::sqrt(1.0 - std::pow(rates.beta2, age)))},
         factors_);
}

}  // namespace shine
