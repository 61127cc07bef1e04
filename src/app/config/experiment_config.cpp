#include "shine/app/experiment_config.h"

#include <algorithm>

#include "config/config_io.h"
#include "io/files/byte_source.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {

bool reads_questions(const ExperimentConfig& config) {
  const StageTraits::Data data = traits_of(config.stage.name).data;
  return data == StageTraits::Data::questions ||
         (data == StageTraits::Data::by_form && config.data.form == DataForm::questions);
}

namespace {

void reset_unused(ExperimentConfig& config) {
  const std::vector<UnusedKey> unused = unused_keys(config);
  ExperimentConfig defaults;
  const FieldList from = fields_of(defaults);
  const FieldList to = fields_of(config);
  for (std::size_t i = 0; i < to.fields.size(); ++i) {
    const bool listed = std::any_of(unused.begin(), unused.end(),
                                    [&](const UnusedKey& other) { return other.key == to.fields[i].path; });
    if (listed) copy_value(from.fields[i], to.fields[i]);
  }
}

/// A configuration as programs save it in the folder of a run, a checkpoint or results.
bool is_saved(const std::filesystem::path& file) {
  if (file.filename() != "config.yaml") return false;
  const auto beside = {"checkpoints", "log.txt", "metrics.jsonl", "state.json", "test.json"};
  return std::any_of(beside.begin(), beside.end(),
                     [&](const char* name) { return std::filesystem::exists(file.parent_path() / name); });
}

bool is_text_file(const std::filesystem::path& file) {
  return inner_extension(file) == ".txt" || inner_extension(file) == ".jsonl";
}

/// Checks rules between keys; skips a rule about a key whose value was refused.
class RuleChecker {
 public:
  RuleChecker(const ExperimentConfig& config, const ConfigOrigins& origins, ConfigUse use, Faults& faults)
      : config_(config), origins_(origins), use_(use), faults_(faults) {}

  void check() {
    check_unused();
    reset_unused(config_);
    check_stage();
    if (use_ == ConfigUse::train) check_data();
    if (use_ != ConfigUse::train) check_model();
    if (use_ == ConfigUse::test) check_test();
    const StageConfig& stage = config_.stage;
    rule(stage.completion_drop_min <= stage.completion_drop_max,
         {"stage.completion_drop_min", "stage.completion_drop_max"},
         str("`stage.completion_drop_min` is ", stage.completion_drop_min, ", above `stage.completion_drop_max`, ",
             stage.completion_drop_max));
    const M2pConfig& m2p = config_.hypernetwork.m2p;
    rule(m2p.couple_heads == 0 || m2p.couple_width % m2p.couple_heads == 0,
         {"hypernetwork.m2p.couple_heads", "hypernetwork.m2p.couple_width"},
         str("`hypernetwork.m2p.couple_heads` is ", m2p.couple_heads, ", which does not divide `couple_width`, ",
             m2p.couple_width));
  }

 private:
  /// @param keys  what the rule is about; the first that is set gives the place
  void rule(bool holds, const std::vector<std::string>& keys, std::string_view fault) {
    const auto broken = [&](const std::string& key) { return origins_.broken.count(key) != 0; };
    if (holds || std::any_of(keys.begin(), keys.end(), broken)) return;
    const auto set = std::find_if(keys.begin(), keys.end(), [&](const auto& key) { return origins_.is_set(key); });
    faults_.add(set == keys.end() ? origins_.file : origins_.place(*set), fault);
  }

  void check_unused() {
    ExperimentConfig present = config_;
    ExperimentConfig defaults;
    const FieldList fields = fields_of(present);
    const FieldList usual = fields_of(defaults);
    const std::vector<UnusedKey> unused = unused_keys(config_);
    for (std::size_t i = 0; i < fields.fields.size(); ++i) {
      const std::string& key = fields.fields[i].path;
      const auto entry =
          std::find_if(unused.begin(), unused.end(), [&](const auto& other) { return other.key == key; });
      if (entry == unused.end()) continue;
      const bool set = origins_.is_set(key) || field_value(fields.fields[i]) != field_value(usual.fields[i]);
      const bool inherited = std::any_of(entry->causes.begin(), entry->causes.end(), [&](const std::string& cause) {
        return origins_.layer(cause) > origins_.layer(key);
      });
      std::vector<std::string> keys = {key};
      keys.insert(keys.end(), entry->causes.begin(), entry->causes.end());
      rule(!set || inherited, keys, str("`", key, "` has no effect ", entry->reason, " (remove it)"));
    }
  }

  void check_stage() {
    const BackboneConfig& model = config_.model;
    if (traits_of(config_.stage.name).has_hypernetwork) {
      rule(!model.path.empty(), {"model.path", "stage.name"},
           str("`model.path` is missing: stage ", enum_name(config_.stage.name),
               " needs the Hugging Face directory of a backbone"));
      check_start();
      return;
    }
    rule(!model.config.empty(), {"model.config", "stage.name"},
         "`model.config` is missing: stage backbone needs a config.json to make weights from");
    rule(!config_.text.tokenizer.empty(), {"text.tokenizer", "stage.name"},
         "`text.tokenizer` is missing: stage backbone has no model.path to take it from");
    rule(model.dtype == WeightDtype::float32, {"model.dtype", "stage.name"},
         str("`model.dtype` is ", enum_name(model.dtype), ", but stage backbone trains the weights: only float32"));
  }

  void check_texts() {
    if (config_.stage.name != StageName::pretrain) return;
    rule(config_.data.over_long != OverLong::drop, {"data.over_long", "stage.name"},
         "`data.over_long` is drop, which is for questions: stage pretrain cuts long texts or splits them (set split)");
  }

  /// A later stage starts from new weights only if told to.
  void check_start() {
    const StageConfig& stage = config_.stage;
    rule(stage.init_from.empty() || stage.meta_lora_from.empty(), {"stage.meta_lora_from", "stage.init_from"},
         "`stage.meta_lora_from` is for new weights, and `stage.init_from` brings a Meta-LoRA (remove one)");
    if (!traits_of(stage.name).follows_another) return;
    rule(!stage.init_from.empty() || stage.from_scratch, {"stage.init_from", "stage.name"},
         str("`stage.init_from` is missing: stage ", enum_name(stage.name),
             " goes on from an earlier stage's run or checkpoint (or set stage.from_scratch: true)"));
    rule(stage.init_from.empty() || !stage.from_scratch, {"stage.from_scratch", "stage.init_from"},
         "`stage.from_scratch` is set beside `stage.init_from` (remove one)");
  }

  bool has_questions() const { return reads_questions(config_); }

  void check_data() {
    const DataConfig& data = config_.data;
    check_texts();
    rule(!config_.run.dir.empty(), {"run.dir"}, "`run.dir` is empty: the run needs a folder");
    rule(!data.train.empty(), {"data.train"},
         str("`data.train` is missing: list at least one ", has_questions() ? ".jsonl" : ".txt or .jsonl", " file"));
    check_extensions("data.train", data.train);
    check_extensions("data.validation", data.validation);
    for (const std::string& file : data.validation) {
      const bool trained = std::find(data.train.begin(), data.train.end(), file) != data.train.end();
      rule(!trained, {"data.validation", "data.train"},
           str("`data.validation` and `data.train` both list `", file, "`: validation texts must not be trained on"));
    }
  }

  void check_model() {
    rule(traits_of(config_.stage.name).has_hypernetwork, {"stage.name"},
         str("`stage.name` is backbone: its YAML names no model to ", use_ == ConfigUse::test ? "test" : "ask",
             " (use another stage's, with model.path the folder `model` of the backbone's run)"));
  }

  void check_test() {
    rule(!config_.evaluation.data.empty(), {"evaluation.data"},
         "`evaluation.data` is missing: list at least one file to test on (--data FILE)");
  }

  void check_extensions(const std::string& key, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      if (has_questions()) {
        rule(inner_extension(file) == ".jsonl", {key},
             str("`", key, "` lists `", file,
                 "`, which is no file of questions (use .jsonl; shine_prepare qa makes it)"));
        continue;
      }
      rule(is_text_file(file), {key},
           str("`", key, "` lists `", file, "`, an unknown kind of texts (use .txt or .jsonl)"));
    }
  }

  ExperimentConfig config_;
  const ConfigOrigins& origins_;
  ConfigUse use_;
  Faults& faults_;
};

/// Values that follow from others.
void resolve(ExperimentConfig& config, const ConfigOrigins& origins) {
  if (config.text.tokenizer.empty()) config.text.tokenizer = config.model.path;
  // One spelling of what is usual: a run that was saved with the other one goes on.
  const OverLong usual = reads_questions(config) ? OverLong::drop : OverLong::cut;
  if (config.data.over_long == usual) config.data.over_long = OverLong::automatic;
  // The name of other files is not the name of these.
  if (origins.layer("evaluation.data") > origins.layer("evaluation.data_set")) config.evaluation.data_set.clear();
}

}  // namespace

void ExperimentConfig::validate(ConfigUse use) const {
  const ConfigOrigins origins;
  Faults faults;
  RuleChecker(*this, origins, use, faults).check();
  faults.throw_if_any("the configuration");
}

ExperimentConfig load_experiment_config(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                                        ConfigOrigins* origins, ConfigUse use) {
  if (!std::filesystem::exists(file)) {
    throw IoError("no such file", file.string(),
                  "correct the path; for a model without configurations copy those of another one, such as "
                  "configs/qwen3-0.6b, and name its folder in model.path");
  }
  ExperimentConfig config;
  Faults faults;
  const WrittenBy writer = is_saved(file) ? WrittenBy::program : WrittenBy::user;
  ConfigOrigins places = read_fields(fields_of(config), file, overrides, faults, writer);
  // Where it had no effect, earlier versions saved its default of then.
  const bool saved_drop = writer == WrittenBy::program && !places.is_overridden("data.over_long");
  if (saved_drop && config.stage.name == StageName::pretrain && config.data.over_long == OverLong::drop) {
    config.data.over_long = OverLong::automatic;
  }
  RuleChecker(config, places, use, faults).check();
  faults.throw_if_any(file.string());
  reset_unused(config);
  resolve(config, places);
  if (origins != nullptr) *origins = std::move(places);
  return config;
}

std::string experiment_yaml(const ExperimentConfig& config) {
  std::set<std::string> skip;
  for (const UnusedKey& unused : unused_keys(config)) skip.insert(unused.key);
  ExperimentConfig copy = config;
  return fields_yaml(fields_of(copy), skip);
}

}  // namespace shine
