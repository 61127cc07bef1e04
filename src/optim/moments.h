#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "optim/flat_parameters.h"
#include "shine/distributed/process_group.h"
#include "shine/tensor/named_tensor.h"

namespace shine {

/// Both moments of the values that this rank updates: all values, or with a sharded layout its piece of every bucket.
/// They have the parameters' dtype and device.
class Moments {
 public:
  /// What this rank updates of one tensor; all tensors are flat views.
  struct Part {
    std::size_t group = 0, place = 0;
    std::int64_t begin = 0;   ///< in the flat buffers
    std::int64_t offset = 0;  ///< in the moments
    at::Tensor value, gradient, first, second;
  };

  /// @param groups, layout, ranks  of the optimizer; they must outlive this object
  Moments(const std::vector<ParamGroup>& groups, const ParameterLayout& layout, const FlatParameters& flat,
          ProcessGroup& ranks);

  const std::vector<Part>& parts() const { return parts_; }  ///< in the order of the layout's places
  const at::Tensor& first() const { return first_; }
  const at::Tensor& second() const { return second_; }

  /// See AdamW::state and AdamW::load_state.
  std::vector<NamedTensor> state() const;
  void load(const std::map<std::string, at::Tensor>& state);

 private:
  std::vector<at::Tensor> whole(at::Tensor Part::*moment) const;
  void check(const std::map<std::string, at::Tensor>& state) const;

  const std::vector<ParamGroup>& groups_;
  const ParameterLayout& layout_;
  ProcessGroup& ranks_;
  at::Tensor first_, second_;
  std::vector<Part> parts_;
};

}  // namespace shine
