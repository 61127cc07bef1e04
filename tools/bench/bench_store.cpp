// Measures a token store of made-up documents or questions: writing, opening, grouping, sampling; time, memory, bytes.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "command_line.h"
#include "common/format.h"
#include "common/random.h"
#include "common/timer.h"
#include "data/sampling/loader.h"
#include "data/store/item_ids.h"
#include "data/store/question_dataset.h"
#include "data/store/store_dataset.h"
#include "data/store/store_output.h"
#include "data/store/tokenizer_fingerprint.h"
#include "io/files/atomic_folder.h"
#include "shine/common/error.h"
#include "shine/text/special_tokens.h"

namespace {

using namespace shine;
namespace fs = std::filesystem;

struct Options {
  fs::path tokenizer, folder, json_file;
  std::size_t documents = 1'000'000;
  std::int64_t mean_tokens = 60;
  std::int64_t context = 114, conversation = 126;
  std::size_t steps = 500;
  int ranks = 2, threads = 1;
  bool questions = false;
  bool keep = false;
};

/// A number of /proc/self in KiB ("VmHWM:   123 kB") as MiB; 0 where the system has none.
double process_mib(const char* file, const std::string& name) {
  std::ifstream in(std::string("/proc/self/") + file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1)) / 1024;
  }
  return 0;
}

double folder_mib(const fs::path& folder, const std::string& prefix) {
  double bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(prefix)) bytes += static_cast<double>(entry.file_size());
  }
  return bytes / (1 << 20);
}

/// Results by name, printed as they come.
class Results {
 public:
  void add(const std::string& name, double value, const char* unit) {
    std::cout << format("%-46s %12.3f %s", name.c_str(), value, unit) << std::endl;
    json_[name] = value;
  }
  const nlohmann::ordered_json& json() const { return json_; }

 private:
  nlohmann::ordered_json json_;
};

PretrainOptions pretrain_options(const Options& options) {
  PretrainOptions pretrain;
  pretrain.context_max_length = options.context;
  pretrain.conversation_max_length = options.conversation;
  pretrain.seed = 1;
  return pretrain;
}

QaOptions qa_options(const Options& options) {
  QaOptions qa;
  qa.context_max_length = options.context;
  qa.conversation_max_length = options.conversation;
  qa.seed = 1;
  return qa;
}

/// Ids of the vocabulary's first thousands, which are words and parts of words.
Ids made_up_ids(Random& random, std::size_t count, const Tokenizer& tokenizer) {
  Ids ids(count);
  const auto vocabulary = static_cast<std::uint64_t>(std::min<std::int64_t>(tokenizer.size(), 5000));
  for (std::int64_t& id : ids) id = static_cast<std::int64_t>(random.below(vocabulary));
  return ids;
}

/// A document of 1 to twice the mean; with questions, nine tenths of them are a context, the rest turns about it of 12
/// tokens to ask and 8 to answer, at least one.
Ids made_up_document(Random& random, const Options& options, const Tokenizer& tokenizer) {
  const std::size_t length =
      1 + static_cast<std::size_t>(random.below(static_cast<std::uint64_t>(2 * options.mean_tokens - 1)));
  if (!options.questions) return made_up_ids(random, length, tokenizer);
  ItemIds item{made_up_ids(random, 1 + length * 9 / 10, tokenizer), {{}}};
  for (std::size_t left = length / 10; item.threads[0].empty() || left >= 20; left -= std::min<std::size_t>(left, 20)) {
    item.threads[0].push_back({made_up_ids(random, 12, tokenizer), made_up_ids(random, 8, tokenizer)});
  }
  return item_document(item, tokenizer.size());
}

void write_store(const Options& options, const Tokenizer& tokenizer, Results& results) {
  const Timer timer;
  StoreIndex wanted;
  wanted.tokenizer = tokenizer_fingerprint(tokenizer);
  if (options.questions) wanted.options.contents = StoreContents::questions;
  wanted.vocabulary = tokenizer.size() + (options.questions ? kItemMarks : 0);
  make_folder(options.folder);
  StoreOutput output(options.folder, wanted);
  Random random(1);
  for (std::size_t i = 0; i < options.documents; ++i) {
    ++output.statistics().read;
    output.add(made_up_document(random, options, tokenizer), random.next());
    output.reach({0, i + 1});
  }
  output.finish();
  results.add("write: seconds", timer.seconds(), "s");
  results.add("write: peak memory", process_mib("status", "VmHWM"), "MiB");
  results.add("tokens", static_cast<double>(output.statistics().tokens) / 1e6, "million");
  results.add("shards: bytes", folder_mib(options.folder, "shard-"), "MiB");
  results.add("index: bytes", folder_mib(options.folder, kStoreIndexName), "MiB");
}

/// @param before  MiB of its own memory before it opened the store
void measure_memory(double before, std::map<std::string, double>& found) {
  found["memory of its own"] = process_mib("status", "RssAnon") - before;
  found["mapped pages"] = process_mib("smaps_rollup", "Rss") - process_mib("smaps_rollup", "Anonymous");
  found["its share of mapped pages"] = process_mib("smaps_rollup", "Pss") - process_mib("smaps_rollup", "Anonymous");
}

std::shared_ptr<const Dataset> open_dataset(const Options& options, std::shared_ptr<const TokenStore> store,
                                            const std::shared_ptr<const Tokenizer>& tokenizer) {
  if (options.questions)
    return std::make_shared<const QuestionDataset>(std::move(store), tokenizer, qa_options(options));
  return std::make_shared<const StoreDataset>(std::move(store), tokenizer, pretrain_options(options));
}

/// What a run does before its first step, and what its loader then needs for each.
std::map<std::string, double> sample(const Options& options, const std::shared_ptr<const Tokenizer>& tokenizer,
                                     int rank, int ranks) {
  std::map<std::string, double> found;
  const double before = process_mib("status", "RssAnon");
  const Timer start;
  const auto store = std::make_shared<const TokenStore>(options.folder);
  const std::shared_ptr<const Dataset> dataset = open_dataset(options, store, tokenizer);
  Sampler sampler(
      dataset->size(),
      {.batch_size = 1, .accumulation = 32, .seed = 1, .tokens = {}, .computed_order = dataset->has_computed_order()});
  sampler.restore({.epoch = 1, .next = dataset->size() / 2, .samples = dataset->size(), .seed = 1});
  Loader loader(dataset, std::move(sampler), {.rank = rank, .ranks = ranks, .threads = options.threads});
  loader.next();
  found["start, first step of 32 samples"] = start.seconds();
  const Timer timer;
  double samples = 0, tokens = 0;
  for (std::size_t step = 0; step < options.steps; ++step) {
    if (step == options.steps / 2) measure_memory(before, found);  // while the other ranks are at work
    for (const auto& batch : loader.next().micro_batches) {
      samples += static_cast<double>(batch.size());
      for (const Sample& one : batch)
        tokens += static_cast<double>(one.context_ids.size() + one.conversation_ids.size());
    }
  }
  found["samples a second"] = samples / timer.seconds();
  found["tokens a second"] = tokens / timer.seconds();
  found["samples"] = static_cast<double>(dataset->size());
  return found;
}

/// In a process of its own; the others measure at the same time.
void sample_on_ranks(const Options& options, const std::shared_ptr<const Tokenizer>& tokenizer, Results& results) {
  std::cout.flush();
  std::vector<int> pipes;
  for (int rank = 0; rank < options.ranks; ++rank) {
    int ends[2];
    if (::pipe(ends) != 0) throw IoError("no pipe can be made");
    pipes.push_back(ends[0]);
    if (::fork() != 0) {
      ::close(ends[1]);
      continue;
    }
    std::string text;
    try {
      text = nlohmann::json(sample(options, tokenizer, rank, options.ranks)).dump();
    } catch (const std::exception& fault) {
      text = nlohmann::json(std::string(fault.what())).dump();
    }
    const auto written = ::write(ends[1], text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  for (int rank = 0; rank < options.ranks; ++rank) {
    std::string text;
    char buffer[4096];
    for (ssize_t got = 0; (got = ::read(pipes[static_cast<std::size_t>(rank)], buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(pipes[static_cast<std::size_t>(rank)]);
    const auto found = nlohmann::json::parse(text);
    if (found.is_string()) throw Error(found.get<std::string>());
    for (const auto& [name, value] : found.items()) {
      const bool is_memory = name.find("mem") == 0 || name.find("page") != std::string::npos;
      const char* unit = is_memory ? "MiB" : name.starts_with("start") ? "s" : "";
      results.add(str("rank ", rank, " of ", options.ranks, ": ", name), value.get<double>(), unit);
    }
  }
  while (::wait(nullptr) > 0) {
  }
}

/// Opens the store, then makes groups or samples of it, or opens those that are kept.
void measure_opening(const Options& options, const std::shared_ptr<const Tokenizer>& tokenizer, Results& results) {
  const Timer open;
  const auto store = std::make_shared<const TokenStore>(options.folder);
  results.add("open: seconds", open.seconds(), "s");
  const double before = process_mib("status", "RssAnon");
  const Timer place;
  const auto dataset = open_dataset(options, store, tokenizer);
  results.add("groups or samples, made or opened: seconds", place.seconds(), "s");
  results.add("groups or samples: memory of its own", process_mib("status", "RssAnon") - before, "MiB");
  results.add("groups or samples: bytes", folder_mib(options.folder, options.questions ? "questions-" : "groups-"),
              "MiB");
}

void run(const Options& options) {
  Results results;
  const std::shared_ptr<Tokenizer> tokenizer = load_tokenizer(options.tokenizer);
  add_task_tokens(*tokenizer);
  if (!is_token_store(options.folder)) write_store(options, *tokenizer, results);
  measure_opening(options, tokenizer, results);
  sample_on_ranks(options, tokenizer, results);
  if (!options.keep) fs::remove_all(options.folder);
  if (!options.json_file.empty()) std::ofstream(options.json_file) << results.json().dump(2) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures a token store of made-up documents or questions.");
  app.footer("Example: bench_store --tokenizer models/Qwen3-0.6B --folder store");
  Options options;
  is_path(app.add_option("--tokenizer", options.tokenizer, "Folder of a tokenizer"))->required();
  is_path(app.add_option("--folder", options.folder, "Where the store is made; a store that is there is measured"))
      ->required();
  is_path(app.add_option("--json", options.json_file, "Write the numbers there too"));
  const auto positive = CLI::PositiveNumber;
  app.add_option("--documents", options.documents, "Of the store")->check(positive)->capture_default_str();
  app.add_option("--mean-tokens", options.mean_tokens, "Of a document")->check(positive)->capture_default_str();
  app.add_option("--context", options.context, "Longest context")->check(positive)->capture_default_str();
  app.add_option("--conversation", options.conversation, "Longest conversation")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--steps", options.steps, "Steps of 32 samples")->check(positive)->capture_default_str();
  app.add_option("--ranks", options.ranks, "Processes that read at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Of the loader of each")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_flag("--questions", options.questions, "Items of questions instead of texts");
  app.add_flag("--keep", options.keep, "Leave the store there");
  return run_command_line("bench_store", app, argc, argv, [&] {
    run(options);
    return 0;
  });
}
