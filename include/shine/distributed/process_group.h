#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "shine/common/api.h"
#include "shine/distributed/launch.h"

namespace shine {

enum class Reduction { sum, minimum, maximum };

/// A collective in flight. Its tensors must not be touched before `wait`, which must be called.
class SHINE_API PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  virtual void wait() = 0;
};

/// The processes of a job. Every rank calls the same collectives in the same order, with contiguous tensors of equal
/// shape and dtype (float32, float64, int64, int32 or uint8; else ShapeError), on the CPU or on the group's device. A
/// group of one is an ordinary group.
///
/// A collective that does not end within the time-out ends the process, and with it the job. A group destroyed without
/// `finish` (by an exception) waits only the few seconds in which the others are told.
class SHINE_API ProcessGroup {
 public:
  using Pending = std::unique_ptr<PendingCollective>;

  virtual ~ProcessGroup() = default;
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_first() const { return rank_ == 0; }

  /// The backend: "one process", "MPI" or "NCCL".
  virtual std::string backend() const = 0;

  /// In place; every rank gets the same bits.
  virtual Pending start_all_reduce(at::Tensor tensor, Reduction reduction) = 0;

  /// `output` becomes the sum over the ranks of their piece number rank() of `input`, which has size() equal pieces;
  /// `output` may be that piece of `input` itself, whose other pieces have no meaning afterwards.
  virtual Pending start_reduce_scatter(at::Tensor output, at::Tensor input) = 0;

  /// Piece number r of `output` becomes the `input` of rank r; `input` may be piece number rank() of `output` itself.
  virtual Pending start_all_gather(at::Tensor output, at::Tensor input) = 0;

  virtual void broadcast(at::Tensor tensor, int root) = 0;
  virtual void barrier() = 0;

  /// Tells the others why this process ends, if the backend can (MPI's launcher ends them instead): within seconds each
  /// writes the reason and ends with status 1. No collective may follow.
  virtual void fail(std::string_view) noexcept {}

  /// To be called after the last collective: waits for all ranks and leaves the group. Nothing may be called
  /// afterwards.
  virtual void finish() = 0;

  void all_reduce(at::Tensor tensor, Reduction reduction = Reduction::sum) {
    start_all_reduce(std::move(tensor), reduction)->wait();
  }
  void reduce_scatter(at::Tensor output, at::Tensor input) {
    start_reduce_scatter(std::move(output), std::move(input))->wait();
  }
  void all_gather(at::Tensor output, at::Tensor input) {
    start_all_gather(std::move(output), std::move(input))->wait();
  }

 protected:
  ProcessGroup(int rank, int size) : rank_(rank), size_(size) {}

 private:
  int rank_, size_;
};

/// A group of one.
SHINE_API std::unique_ptr<ProcessGroup> single_process();

struct GroupOptions {
  double timeout_seconds = 600;                           ///< how long a rank waits for the others at most
  std::int64_t message_elements = std::int64_t{1} << 28;  ///< MPI splits larger tensors; below 2^31
};

/// The group of this job: one process; NCCL where `device` is a GPU; MPI on the CPU. Waits for all ranks. Throws
/// ConfigError where the launcher does not support the backend (torchrun for CPU ranks), UnsupportedError where this
/// program was built without it, IoError where the ranks do not find each other in time.
/// @param device  of this rank (see rank_device)
SHINE_API std::unique_ptr<ProcessGroup> make_process_group(const Launch& launch, at::Device device,
                                                           const GroupOptions& options);

}  // namespace shine
