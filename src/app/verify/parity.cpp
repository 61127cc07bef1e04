#include "app/verify/parity.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "app/verify/parity_fixture.h"
#include "checkpoint/published_checkpoint.h"
#include "lora/parameter_names.h"
#include "optim/lr_schedule.h"
#include "shine/common/error.h"
#include "shine/eval/generation.h"
#include "shine/optim/adamw.h"
#include "shine/tensor/device.h"
#include "shine/tensor/torch_tensor.h"
#include "shine/train/train_step.h"

namespace shine {
namespace {

/// Relative errors to expect. float32: measured between the published code and itself with other kernels. bfloat16:
/// 8 bits of mantissa through a few layers; the trained leaves and the M2P stay float32.
struct Tolerances {
  double forward, gradient, loss, norm, after;
  bool greedy;
};
constexpr Tolerances kFloat32{1e-5, 2e-5, 1e-5, 1e-5, 1e-5, true};
constexpr Tolerances kBFloat16{4e-2, 2e-1, 2e-2, 2e-1, 1e-1, false};

double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  if (found.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  const at::Tensor wide = expected.to(at::kDouble);
  const auto difference = (found.detach().to(at::kCPU, at::kDouble) - wide).norm().item<double>();
  const auto size = wide.norm().item<double>();
  return size > 0 ? difference / size : difference;
}

double relative_error(double found, double expected) {
  return relative_error(at::scalar_tensor(found, at::kDouble), at::scalar_tensor(expected, at::kDouble));
}

/// Query and value biases of an in_proj_bias; other tensors as they are.
at::Tensor without_key_bias(const std::string& name, const at::Tensor& tensor) {
  if (!name.ends_with("in_proj_bias")) return tensor;
  const auto parts = tensor.chunk(3);
  return at::cat({parts[0], parts[2]});
}

class ParityCheck {
 public:
  ParityCheck(const ParityFixture& fixture, const ParityOptions& options, std::shared_ptr<ProcessGroup> ranks,
              const std::function<void(const ParityRow&)>& on_row)
      : fixture_(fixture),
        on_row_(on_row),
        ranks_(std::move(ranks)),
        shard_(options.shard),
        pass_tokens_(options.pass_tokens),
        device_(options.device),
        tolerances_(options.dtype == "bfloat16" ? kBFloat16 : kFloat32),
        decoder_(read_decoder_config(fixture.folder / "backbone" / "config.json"),
                 {options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, device_, best_layout(device_),
                  /*recompute=*/false}) {
    avoid_cudnn_attention();
    load_decoder(decoder_, fixture.folder / "backbone");
  }

  bool run() {
    check_backbone();
    if (fixture_.has_checkpoint) {
      check_hypernetwork();
      if (fixture_.training) check_training();
    }
    SHINE_CHECK(rows_ > 0, FormatError, fixture_.folder.string(), ": nothing to compare in expected.safetensors");
    at::Tensor failed = at::full({1}, passed_ ? 0 : 1, at::kLong);
    ranks_->all_reduce(failed);
    return failed.item<std::int64_t>() == 0;
  }

 private:
  void report(const std::string& name, double error, double tolerance) {
    const ParityRow row{name, error, tolerance};
    passed_ = passed_ && row.passed();
    ++rows_;
    on_row_(row);
  }

  bool expects(const std::string& name) const { return fixture_.expected.contains(name); }
  at::Tensor expected(const std::string& name) const { return to_tensor(fixture_.expected.tensor(name)); }

  void compare(const std::string& name, const at::Tensor& found, double tolerance) {
    if (expects(name)) report(name, relative_error(found, expected(name)), tolerance);
  }

  /// The model's logits are packed; the file's are padded, and count only where the mask is 1.
  void compare_logits(const std::string& name, const at::Tensor& packed) {
    const at::Tensor mask = fixture_.input("0.input_mask").ne(0);
    report(name, relative_error(packed, expected(name).index({mask})), tolerances_.forward);
  }

  void check_backbone() {
    if (!expects("backbone_logits")) return;
    const at::NoGradGuard no_grad;
    const ModelBatch batch = fixture_.batch(0, device_);
    compare_logits("backbone_logits", decoder_.logits(decoder_.forward(batch.conversations, nullptr)));
  }

  std::unique_ptr<Hypernetwork> load_hypernetwork() {
    HypernetworkOptions options;
    options.config = fixture_.hypernetwork;
    options.extra_meta_lora_rank = fixture_.extra_meta_lora_rank;
    auto hypernetwork = std::make_unique<Hypernetwork>(decoder_, options);
    const auto folder = fixture_.folder / "checkpoint";
    hypernetwork->load(read_published_checkpoint(folder), folder.string());
    return hypernetwork;
  }

  void check_hypernetwork() {
    const auto hypernetwork = load_hypernetwork();
    const ModelBatch batch = fixture_.batch(0, device_);
    GeneratedLora lora = hypernetwork->generate(batch.contexts);
    compare("memory_states", lora.memory_states, tolerances_.forward);
    compare("generated", hypernetwork->used_values(lora.vector), tolerances_.forward);
    for_each_tensor(lora.tree, [&](const std::string& name, at::Tensor& tensor) {
      compare("lora." + name, tensor, tolerances_.forward);
    });
    const at::Tensor hidden = decoder_.forward(batch.conversations, &lora.tree);
    if (expects("logits")) compare_logits("logits", decoder_.logits(hidden.detach()));
    const at::Tensor loss = decoder_.losses(hidden, batch.labelled).mean();
    const at::Tensor penalty = hypernetwork->used_values(lora.vector).abs().sum() * fixture_.adapter_reg;
    compare("loss", loss, tolerances_.loss);
    compare("regularisation", penalty, tolerances_.loss);
    (loss + penalty).backward();
    for (const TrainedParameter& trained : hypernetwork->trained()) {
      const std::string name = "grad." + trained.name;
      if (!expects(name)) continue;
      const at::Tensor gradient = trained.tensor.grad();
      report(name, relative_error(without_key_bias(name, gradient), without_key_bias(name, expected(name))),
             tolerances_.gradient);
    }
    if (expects("greedy") && tolerances_.greedy) check_greedy(batch, lora.tree);
  }

  void check_greedy(const ModelBatch& batch, const LoraTree& lora) {
    const at::Tensor wanted = expected("greedy");  // (B, n)
    const RowLayout& layout = batch.conversations.layout;
    SHINE_CHECK(wanted.dim() == 2 && wanted.size(0) == layout.rows() && wanted.size(1) > 0, FormatError,
                fixture_.folder.string(), ": `greedy` has shape ", wanted.sizes(), ", expected (", layout.rows(),
                ", new tokens)");
    const std::vector<at::Tensor> rows = batch.conversations.ids.to(at::kCPU).split_with_sizes(lengths(layout));
    GenerationSession::Rows prompts;
    for (const at::Tensor& row : rows) prompts.push_back(values(row));
    GenerationOptions options;
    options.decoding.max_new_tokens = wanted.size(1);
    const auto texts = GenerationSession(decoder_, &lora, layout.rows()).generate(prompts, options);
    std::int64_t different = 0;
    for (std::size_t row = 0; row < texts.size(); ++row) {
      const std::vector<std::int64_t> right = values(wanted[static_cast<std::int64_t>(row)]);
      for (std::size_t i = 0; i < right.size(); ++i) {
        different += i >= texts[row].ids.size() || texts[row].ids[i] != right[i] ? 1 : 0;
      }
    }
    report("greedy", static_cast<double>(different), 0.0);
  }

  static std::vector<std::int64_t> lengths(const RowLayout& layout) {
    std::vector<std::int64_t> result;
    for (std::int64_t row = 0; row < layout.rows(); ++row) result.push_back(layout.length(row));
    return result;
  }

  static std::vector<std::int64_t> values(const at::Tensor& ids) {
    const at::Tensor integers = ids.to(at::kLong).contiguous();
    const auto* first = integers.const_data_ptr<std::int64_t>();
    return {first, first + integers.numel()};
  }

  void check_training() {
    const FixtureTraining& training = *fixture_.training;
    const auto hypernetwork = load_hypernetwork();
    const ShineObjective objective(*hypernetwork, fixture_.adapter_reg > 0);
    std::vector<TrainedParameter> trained;
    for (const TrainedParameter& tensor : objective.trained()) {
      if (tensor.name != kMemoryName || training.train_memory_embeddings) trained.push_back(tensor);
    }
    OptimizerConfig config = training.optimizer;
    config.shard = shard_;
    config.pass_tokens = pass_tokens_;
    AdamW optimizer(make_param_groups(trained, config), config, ranks_);
    TrainStep step(objective, optimizer, config, {fixture_.adapter_reg, RegularizerForm::sum});
    for (std::size_t i = 0; i < training.steps.size(); ++i) {
      std::vector<ModelBatch> mine;
      for (std::int64_t j = ranks_->rank(); j < config.accumulation; j += ranks_->size()) {
        mine.push_back(fixture_.batch(static_cast<std::int64_t>(i) * config.accumulation + j, device_));
      }
      const double rate =
          learning_rate_at(training.schedule, config.learning_rate, static_cast<std::int64_t>(i), training.total_steps);
      StepResult result = step.run(mine, rate);
      result.micro_losses = losses_of_all_ranks(result.micro_losses, config.accumulation);
      check_step(str("step ", i), training.steps[i], result, rate, optimizer);
    }
    for (const TrainedParameter& tensor : objective.trained()) {  // what is left untrained must be as it was
      const std::string name = "after." + tensor.name;
      if (!expects(name)) continue;
      report(name, relative_error(without_key_bias(name, tensor.tensor), without_key_bias(name, expected(name))),
             tolerances_.after);
    }
  }

  /// In the order of the step's micro-batches.
  std::vector<double> losses_of_all_ranks(const std::vector<double>& mine, std::int64_t count) const {
    const at::Tensor all = at::zeros({count}, at::kDouble);
    auto* loss = all.mutable_data_ptr<double>();
    for (std::size_t i = 0; i < mine.size(); ++i) {
      loss[static_cast<std::size_t>(ranks_->rank()) + i * static_cast<std::size_t>(ranks_->size())] = mine[i];
    }
    ranks_->all_reduce(all);
    return {loss, loss + count};
  }

  void check_step(const std::string& prefix, const FixtureTraining::Step& wanted, const StepResult& found, double rate,
                  const AdamW& optimizer) {
    report(prefix + " learning rate", relative_error(rate, wanted.learning_rate), 1e-9);
    for (std::size_t j = 0; j < wanted.losses.size(); ++j) {
      report(str(prefix, " loss ", j), relative_error(found.micro_losses.at(j), wanted.losses[j]), tolerances_.loss);
    }
    constexpr std::array<const char*, 3> published_order{"m2p", "m2p_no_decay", "meta_lora"};
    for (std::size_t j = 0; j < wanted.group_norms.size(); ++j) {
      double norm = 0.0;  // the published groups may be empty, ours are left out then
      for (std::size_t g = 0; g < optimizer.groups().size(); ++g) {
        if (optimizer.groups()[g].name == published_order.at(j)) norm = found.norms.group_norms.at(g);
      }
      report(str(prefix, " norm of ", published_order.at(j)), relative_error(norm, wanted.group_norms[j]),
             tolerances_.norm);
    }
  }

  const ParityFixture& fixture_;
  const std::function<void(const ParityRow&)>& on_row_;
  std::shared_ptr<ProcessGroup> ranks_;
  bool shard_;
  std::int64_t pass_tokens_;
  at::Device device_;
  Tolerances tolerances_;
  Decoder decoder_;
  bool passed_ = true;
  std::int64_t rows_ = 0;
};

}  // namespace

bool check_parity(const std::filesystem::path& folder, const ParityOptions& options,
                  const std::shared_ptr<ProcessGroup>& ranks, const std::function<void(const ParityRow&)>& on_row) {
  SHINE_CHECK(options.dtype == "float32" || options.dtype == "bfloat16", ConfigError, "unknown dtype '", options.dtype,
              "': use float32 or bfloat16");
  const ParityFixture fixture = read_parity_fixture(folder);
  return ParityCheck(fixture, options, ranks, on_row).run();
}

}  // namespace shine
