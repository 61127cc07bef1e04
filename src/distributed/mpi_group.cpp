#include <ATen/ATen.h>
#include <mpi.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/backoff.h"
#include "distributed/backends.h"
#include "distributed/checks.h"
#include "distributed/watchdog.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

MPI_Datatype mpi_type(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat: return MPI_FLOAT;
    case at::kDouble: return MPI_DOUBLE;
    case at::kLong: return MPI_INT64_T;
    case at::kInt: return MPI_INT32_T;
    case at::kByte: return MPI_UINT8_T;
    default: throw ShapeError("no collective takes tensors of this type");
  }
}

MPI_Op mpi_operation(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum: return MPI_SUM;
    case Reduction::minimum: return MPI_MIN;
    case Reduction::maximum: return MPI_MAX;
  }
  return MPI_SUM;
}

void require_cpu(const at::Tensor& tensor) {
  SHINE_CHECK(tensor.is_cpu(), ShapeError, "MPI collectives take tensors on the CPU, not ", tensor.sizes(), " on ",
              tensor.device().str());
}

char* bytes(const at::Tensor& tensor) {
  return static_cast<char*>(tensor.mutable_data_ptr());
}

/// Waits until every rank has come here, without keeping a core for long: MPI's own waiting does, and where ranks share
/// the cores with other processes, the rank that the others wait for would have to do with part of one. What follows
/// takes all ranks at work on it, and may well be waited for in MPI's way.
class MeetingPoint {
 public:
  void open() { MPI_Comm_dup(MPI_COMM_WORLD, &ranks_); }
  void close() { MPI_Comm_free(&ranks_); }

  void wait_for_all() {
    MPI_Request meeting = MPI_REQUEST_NULL;
    MPI_Ibarrier(ranks_, &meeting);
    Backoff backoff;
    for (int met = 0;; backoff.pause()) {
      MPI_Test(&meeting, &met, MPI_STATUS_IGNORE);
      if (met != 0) return;
    }
  }

 private:
  MPI_Comm ranks_ = MPI_COMM_NULL;  ///< its own: a barrier in the midst of collectives that were started must not mix
};

/// One collective as the requests of its pieces.
class MpiPending : public PendingCollective {
 public:
  MpiPending(Watchdog& watchdog, MeetingPoint& meeting, std::vector<at::Tensor> held)
      : watchdog_(watchdog), meeting_(meeting), held_(std::move(held)) {}

  MPI_Request* add() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

  /// Copied once the requests are done.
  void copy_at_end(at::Tensor to, at::Tensor from) { copies_.emplace_back(std::move(to), std::move(from)); }

  /// OpenMPI moves data only inside calls: this is one.
  void progress() {
    int done = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE);
  }

  void wait() override {
    const Watchdog::Guard guard(watchdog_);
    meeting_.wait_for_all();
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    for (auto& [to, from] : copies_) to.copy_(from);
  }

 private:
  Watchdog& watchdog_;
  MeetingPoint& meeting_;
  std::vector<at::Tensor> held_;
  std::vector<MPI_Request> requests_;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies_;
};

class MpiGroup : public ProcessGroup {
 public:
  MpiGroup(const Launch& launch, const GroupOptions& options)
      : ProcessGroup(launch.rank, launch.size),
        largest_message_(options.message_elements),
        watchdog_(options.timeout_seconds, collective_timeout_fault(options.timeout_seconds)) {}

  /// Waits for ranks that start late.
  void start() {
    const Watchdog::Guard guard(watchdog_);
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    meeting_.open();
  }

  std::string backend() const override { return "MPI"; }

  Pending start_all_reduce(at::Tensor tensor, Reduction reduction) override {
    check_collective(tensor);
    require_cpu(tensor);
    auto pending = std::make_unique<MpiPending>(watchdog_, meeting_, std::vector{tensor});
    const std::int64_t item = tensor.element_size();
    for_messages(tensor.numel(), [&](std::int64_t begin, int count) {
      MPI_Iallreduce(MPI_IN_PLACE, bytes(tensor) + begin * item, count, mpi_type(tensor), mpi_operation(reduction),
                     MPI_COMM_WORLD, pending->add());
    });
    pending->progress();
    return pending;
  }

  Pending start_reduce_scatter(at::Tensor output, at::Tensor input) override {
    check_pieces(input, output, size());
    require_cpu(output);
    require_cpu(input);
    // MPI's in-place form puts the result at the start of the input, so it is received into another buffer.
    at::Tensor received = at::empty_like(output);
    auto pending = std::make_unique<MpiPending>(watchdog_, meeting_, std::vector{output, input, received});
    const std::int64_t piece = output.numel(), item = output.element_size();
    if (input.numel() <= largest_message_) {
      MPI_Ireduce_scatter_block(bytes(input), bytes(received), static_cast<int>(piece), mpi_type(input), MPI_SUM,
                                MPI_COMM_WORLD, pending->add());
    } else {
      for (int root = 0; root < size(); ++root) {
        for_messages(piece, [&](std::int64_t begin, int count) {
          MPI_Ireduce(bytes(input) + (root * piece + begin) * item, bytes(received) + begin * item, count,
                      mpi_type(input), MPI_SUM, root, MPI_COMM_WORLD, pending->add());
        });
      }
    }
    pending->copy_at_end(output, received);
    pending->progress();
    return pending;
  }

  Pending start_all_gather(at::Tensor output, at::Tensor input) override {
    check_pieces(output, input, size());
    require_cpu(output);
    require_cpu(input);
    auto pending = std::make_unique<MpiPending>(watchdog_, meeting_, std::vector{output, input});
    const std::int64_t piece = input.numel(), item = input.element_size();
    char* const own_piece = bytes(output) + rank() * piece * item;
    if (bytes(input) != own_piece) std::copy_n(bytes(input), piece * item, own_piece);
    if (output.numel() <= largest_message_) {
      MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, bytes(output), static_cast<int>(piece), mpi_type(output),
                     MPI_COMM_WORLD, pending->add());
    } else {
      for (int root = 0; root < size(); ++root) {
        for_messages(piece, [&](std::int64_t begin, int count) {
          MPI_Ibcast(bytes(output) + (root * piece + begin) * item, count, mpi_type(output), root, MPI_COMM_WORLD,
                     pending->add());
        });
      }
    }
    pending->progress();
    return pending;
  }

  void broadcast(at::Tensor tensor, int root) override {
    check_collective(tensor);
    require_cpu(tensor);
    const Watchdog::Guard guard(watchdog_);
    meeting_.wait_for_all();
    for_messages(tensor.numel(), [&](std::int64_t begin, int count) {
      MPI_Bcast(bytes(tensor) + begin * tensor.element_size(), count, mpi_type(tensor), root, MPI_COMM_WORLD);
    });
  }

  void barrier() override {
    const Watchdog::Guard guard(watchdog_);
    meeting_.wait_for_all();
  }

  void finish() override {
    const Watchdog::Guard guard(watchdog_);
    meeting_.wait_for_all();
    meeting_.close();
    MPI_Finalize();
  }

 private:
  /// MPI counts are int: larger messages are split.
  template <class Call>
  void for_messages(std::int64_t numel, const Call& call) const {
    for (std::int64_t begin = 0; begin < numel; begin += largest_message_) {
      call(begin, static_cast<int>(std::min(largest_message_, numel - begin)));
    }
  }

  std::int64_t largest_message_;
  Watchdog watchdog_;
  MeetingPoint meeting_;
};

}  // namespace

std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch, const GroupOptions& options) {
  auto group = std::make_unique<MpiGroup>(launch, options);
  group->start();
  int rank = 0, size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  SHINE_CHECK(rank == launch.rank && size == launch.size, ConfigError, "the launcher started ", rank_label(launch),
              ", and MPI sees rank ", rank, " of ", size,
              " (start with the mpirun of the MPI this program was built with; with srun, add --mpi=pmix)");
  return group;
}

}  // namespace shine
