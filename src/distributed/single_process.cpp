#include <ATen/ATen.h>

#include "distributed/checks.h"
#include "shine/distributed/process_group.h"

namespace shine {
namespace {

class Done : public PendingCollective {
  void wait() override {}
};

class SingleProcess : public ProcessGroup {
 public:
  SingleProcess() : ProcessGroup(0, 1) {}
  std::string backend() const override { return "one process"; }
  Pending start_all_reduce(at::Tensor tensor, Reduction) override {
    check_collective(tensor);
    return std::make_unique<Done>();
  }
  Pending start_reduce_scatter(at::Tensor output, at::Tensor input) override { return copy(output, input); }
  Pending start_all_gather(at::Tensor output, at::Tensor input) override { return copy(output, input); }
  void broadcast(at::Tensor tensor, int) override { check_collective(tensor); }
  void barrier() override {}
  void finish() override {}

 private:
  static Pending copy(const at::Tensor& output, const at::Tensor& input) {
    check_pieces(output, input, /*ranks=*/1);
    if (output.const_data_ptr() != input.const_data_ptr()) output.view({-1}).copy_(input.view({-1}));
    return std::make_unique<Done>();
  }
};

}  // namespace

std::unique_ptr<ProcessGroup> single_process() {
  return std::make_unique<SingleProcess>();
}

}  // namespace shine
