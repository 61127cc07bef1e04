#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "shine/common/api.h"
#include "shine/common/logging.h"
#include "shine/config/constraint.h"
#include "shine/config/stage_name.h"
#include "shine/config/weight_dtype.h"

namespace shine {

constexpr std::array<std::string_view, 4> config_names(LogLevel) {
  return {"debug", "info", "warning", "error"};
}

/// How attention handles rows of different lengths.
enum class AttentionForm { automatic, per_row, padded };
constexpr std::array<std::string_view, 3> config_names(AttentionForm) {
  return {"auto", "per_row", "padded"};
}

enum class ResumeMode { automatic, never };
constexpr std::array<std::string_view, 2> config_names(ResumeMode) {
  return {"auto", "never"};
}

/// automatic: a bar on a terminal, plain lines elsewhere.
enum class ProgressForm { automatic, bar, plain, none };
constexpr std::array<std::string_view, 4> config_names(ProgressForm) {
  return {"auto", "bar", "plain", "none"};
}

/// "auto", "cpu", "cuda" or "cuda:N".
SHINE_API bool is_device_name(std::string_view name);

struct RunConfig {
  std::string dir = "runs/unnamed";
  int64_t seed = 42;
  std::string device = "auto";
  int64_t threads = 0;
  int64_t max_steps = 0;
  double max_minutes = 0.0;
  bool deterministic = false;
  int64_t check_every = 100;
  double rank_timeout = 600.0;

  bool operator==(const RunConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("dir", dir, "folder for checkpoints, metrics and the resolved config", file_path(), kMayChange);
    v("seed", seed, "seed of every random choice", at_least(0));
    v("device", device, "where tensors live", matching("auto, cpu, cuda or cuda:N", is_device_name), kMayChange);
    v("threads", threads, "CPU threads; 0 = the system's choice", at_least(0), kMayChange);
    v("max_steps", max_steps, "stop after this many optimizer steps, schedule unchanged; 0 = at its end", at_least(0),
      kTrainingOnly, kMayChange);
    v("max_minutes", max_minutes,
      "save and stop (exit 75) before the process has run this long, after one step at least; 0 = no limit",
      at_least(0), kTrainingOnly, kMayChange);
    v("deterministic", deterministic, "deterministic kernels only; a resume then needs equal threads and ranks",
      kMayChange);
    v("check_every", check_every,
      "steps between comparisons of the trained tensors of all ranks, made before each save too; 0 = never",
      at_least(0), kTrainingOnly, kMayChange);
    v("rank_timeout", rank_timeout, "seconds that a rank waits for the others before it ends the job", above(0),
      kMayChange, kShapesNoAnswer);
  }
};

/// The frozen language model (group `model`).
struct BackboneConfig {
  std::string path;
  std::string config;
  WeightDtype dtype = WeightDtype::float32;
  AttentionForm attention = AttentionForm::automatic;
  bool recompute = false;
  std::int64_t activation_memory = 0;
  double init_gain = 0.7;

  bool operator==(const BackboneConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("path", path, "Hugging Face directory of the backbone", file_path(), unused_in(StageName::backbone));
    v("config", config, "config.json of the backbone that stage backbone makes", file_path(),
      only_in(StageName::backbone));
    v("dtype", dtype, "type of the backbone's weights; auto = the file's");
    v("attention", attention, "attention over rows of different lengths", kChangesLastBits);
    v("recompute", recompute, "activation checkpointing: less memory, one more forward pass", kChangesLastBits);
    v("activation_memory", activation_memory,
      "MiB of saved activations of a pass, 0 = no limit; the rest is recomputed in the backward", at_least(0),
      kChangesLastBits);
    v("init_gain", init_gain, "new linear weights have standard deviation init_gain / sqrt(inputs)", above(0),
      only_in(StageName::backbone));
  }
};

struct CheckpointConfig {
  int64_t every_steps = 1000;
  int64_t keep_last = 2;
  int64_t keep_every = 0;
  bool background = true;
  ResumeMode resume = ResumeMode::automatic;

  bool operator==(const CheckpointConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("every_steps", every_steps, "optimizer steps between checkpoints; 0 = only at the end", at_least(0));
    v("keep_last", keep_last, "newest step checkpoints kept", at_least(1));
    v("keep_every", keep_every, "checkpoints at multiples of this many steps are kept for good; 0 = none", at_least(0));
    v("background", background, "write while training goes on: needs room for a copy of what is trained");
    v("resume", resume, "auto goes on from the newest intact checkpoint of the run folder");
  }
};

struct LoggingConfig {
  LogLevel level = LogLevel::info;
  int64_t every_steps = 1;
  ProgressForm progress = ProgressForm::automatic;
  bool tensorboard = true;

  bool operator==(const LoggingConfig&) const = default;

  template <class V>
  void visit(V& v) {
    v("level", level, "least severe message that is written");
    v("every_steps", every_steps, "optimizer steps between metric lines", at_least(1));
    v("progress", progress, "progress display; auto = a bar on a terminal, plain lines elsewhere, one in ten seconds at most");
    v("tensorboard", tensorboard, "write the metrics for TensorBoard too, in run.dir/tensorboard");
  }
};

}  // namespace shine
