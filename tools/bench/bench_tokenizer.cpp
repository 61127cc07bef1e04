// Measures how fast a tokenizer encodes and decodes: the texts of files, and texts that are hard by design.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/median.h"
#include "bench/tokenizer_texts.h"
#include "command_line.h"
#include "common/parallel.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "shine/text/tokenizer.h"
#include "text/json_text.h"

namespace {

using namespace shine;
using namespace shine::bench;
using nlohmann::json;

struct Options {
  std::filesystem::path tokenizer;
  std::vector<std::filesystem::path> files;
  std::filesystem::path json_file;
  std::filesystem::path hard_texts_file;
  std::size_t document_bytes = 2000;
  std::size_t hard_bytes = 1 << 20;
  int threads = 2;
  int repeats = 5;
  bool serve = false;
};

using Ids = std::vector<std::int64_t>;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Encoding> encode_all(const Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads) {
  std::vector<Encoding> encodings(texts.size());
  parallel_for(texts.size(), threads, [&](std::size_t i) { encodings[i] = tokenizer.encode(texts[i]); });
  return encodings;
}

// The encodings are given back after the clock has stopped.
double time_encode(const Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads) {
  std::vector<Encoding> encodings;
  return seconds_of([&] { encodings = encode_all(tokenizer, texts, threads); });
}

double time_decode(const Tokenizer& tokenizer, const std::vector<Encoding>& encodings) {
  std::vector<std::string> texts(encodings.size());
  return seconds_of([&] {
    for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = tokenizer.decode(encodings[i].ids);
  });
}

/// Seconds for one set of texts, medians.
struct Measured {
  std::string name;
  std::size_t texts = 0;
  std::size_t bytes = 0;
  std::size_t tokens = 0;
  double cold = 0;      // one thread, no word seen before
  double encode = 0;    // one thread, after a first pass over the same texts
  double threaded = 0;  // several threads
  double decode = 0;
};

Measured measure(const Options& options, const TextSet& set) {
  Measured result{set.name, set.texts.size(), set.bytes()};
  std::vector<double> cold;
  std::vector<double> encode;
  std::vector<double> threaded;
  std::vector<double> decode;
  const auto tokenizer = load_tokenizer(options.tokenizer);
  const auto encodings = encode_all(*tokenizer, set.texts, 1);
  for (const Encoding& encoding : encodings) result.tokens += encoding.ids.size();
  for (int i = 0; i < options.repeats; ++i) {
    encode.push_back(time_encode(*tokenizer, set.texts, 1));
    threaded.push_back(time_encode(*tokenizer, set.texts, options.threads));
    decode.push_back(time_decode(*tokenizer, encodings));
    cold.push_back(time_encode(*load_tokenizer(options.tokenizer), set.texts, 1));
  }
  result.cold = median(cold);
  result.encode = median(encode);
  result.threaded = median(threaded);
  result.decode = median(decode);
  return result;
}

std::string rate(std::size_t bytes, double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / seconds / 1e6;
  return text.str();
}

void print(const Measured& m) {
  std::cout << std::left << std::setw(34) << m.name << std::right << std::setw(7) << m.texts << std::setw(10) << m.bytes
            << std::setw(9) << m.tokens << std::setw(10) << rate(m.bytes, m.encode) << std::setw(10)
            << rate(m.bytes, m.cold) << std::setw(10) << rate(m.bytes, m.threaded) << std::setw(10)
            << rate(m.bytes, m.decode) << std::endl;
}

json to_json(const Measured& m) {
  return {{"name", m.name},
          {"texts", m.texts},
          {"bytes", m.bytes},
          {"tokens", m.tokens},
          {"encode_seconds", m.encode},
          {"encode_cold_seconds", m.cold},
          {"encode_threads_seconds", m.threaded},
          {"decode_seconds", m.decode}};
}

std::vector<TextSet> read_texts(const Options& options) {
  std::vector<TextSet> sets;
  for (const auto& file : options.files) {
    sets.push_back({file.filename().string(), cut_documents(read_text_file(file), options.document_bytes)});
  }
  if (options.hard_bytes > 0) {
    for (TextSet& set : hard_texts(options.hard_bytes)) sets.push_back(std::move(set));
  }
  return sets;
}

void run_benchmark(const Options& options) {
  std::vector<double> loads;
  for (int i = 0; i < options.repeats; ++i) loads.push_back(seconds_of([&] { load_tokenizer(options.tokenizer); }));
  json report{{"load_seconds", median(loads)}, {"threads", options.threads}, {"sets", json::array()}};
  std::cout << "load " << median(loads) * 1e3 << " ms; MB/s, medians of " << options.repeats << ":\n"
            << "                                    texts     bytes   tokens    encode      cold" << std::setw(8)
            << options.threads << " t    decode\n";
  for (const TextSet& set : read_texts(options)) {
    const Measured measured = measure(options, set);
    print(measured);
    report["sets"].push_back(to_json(measured));
  }
  if (!options.json_file.empty()) write_file_atomically(options.json_file, report.dump(2) + "\n");
}

/// Answers the commands of scripts/bench_tokenizer.py, one JSON object per line.
class Server {
 public:
  explicit Server(const Options& options) : options_(options) { load(); }

  json answer(const json& command) {
    const std::string what = command.at("do");
    if (what == "texts") {
      texts_ = command.at("texts").get<std::vector<std::string>>();
      return json::object();
    }
    if (what == "load") return {{"seconds", seconds_of([&] { load(); })}};
    if (what == "encode") return {{"seconds", time_encode(*tokenizer_, texts_, command.at("threads"))}};
    if (what == "ids") {
      json ids = json::array();
      for (const Encoding& encoding : encode_all(*tokenizer_, texts_, 1)) ids.push_back(encoding.ids);
      return {{"ids", ids}};
    }
    if (what == "decode") {
      const auto encodings = encode_all(*tokenizer_, texts_, 1);
      return {{"seconds", time_decode(*tokenizer_, encodings)}};
    }
    throw ConfigError("unknown command " + what);
  }

 private:
  void load() { tokenizer_ = load_tokenizer(options_.tokenizer); }

  Options options_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::string> texts_;
};

void serve(const Options& options) {
  Server server(options);
  std::string line;
  while (std::getline(std::cin, line)) std::cout << server.answer(parse_json(line, "standard input")) << std::endl;
}

void write_hard_texts(const Options& options) {
  json texts = json::object();
  for (const TextSet& set : hard_texts(options.hard_bytes)) texts[set.name] = set.texts.front();
  write_file_atomically(options.hard_texts_file, texts.dump() + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures bytes per second of encode and decode: texts of files, and texts that are hard by design."};
  Options options;
  app.add_option("--tokenizer", options.tokenizer, "Hugging Face model directory, or a tokenizer.json")->required();
  app.add_option("files", options.files, "Text files");
  app.add_option("--document-bytes", options.document_bytes, "Files are cut into documents of this size, at line ends")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--hard-bytes", options.hard_bytes, "Size of each hard text; 0 = none")->capture_default_str();
  app.add_option("--threads", options.threads, "Threads over texts, beside the figures for one")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--repeats", options.repeats, "Measurements; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--json", options.json_file, "Write the figures to this file");
  auto* write = app.add_option("--write-hard-texts", options.hard_texts_file, "Write the hard texts, measure nothing");
  app.add_flag("--serve", options.serve, "Answer the commands of scripts/bench_tokenizer.py")->excludes(write);
  app.footer("Example: bench_tokenizer --tokenizer configs/tiny-text/backbone configs/tiny-text/corpus.txt");
  return run_command_line("bench_tokenizer", app, argc, argv, [&] {
    if (options.serve) {
      serve(options);
    } else if (!options.hard_texts_file.empty()) {
      write_hard_texts(options);
    } else {
      run_benchmark(options);
    }
    return 0;
  });
}
