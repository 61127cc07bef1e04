#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config_io.h"
#include "shine/common/error.h"
#include "support/faults.h"
#include "support/paths.h"

namespace shine::test {

enum class Colour { red, automatic };
constexpr std::array<std::string_view, 2> config_names(Colour) {
  return {"red", "auto"};
}

struct SampleInner {
  int64_t lora_rank = 8;
  double rate = 5e-5;

  bool operator==(const SampleInner&) const = default;
  template <class V>
  void visit(V& v) {
    v("lora_rank", lora_rank, "the rank", at_least(1));
    v("rate", rate, "the rate", above(0));
  }
};

struct SampleOuter {
  Colour colour = Colour::red;
  bool flag = false;
  SampleInner inner;
  std::string name;
  std::string after = "x";

  bool operator==(const SampleOuter&) const = default;
  template <class V>
  void visit(V& v) {
    v("colour", colour, "the colour");
    v("flag", flag, "the flag");
    v("inner", inner, "the inner group");
    v("name", name, "any text");
    v("after", after, "comes after a group");
  }
};

/// One of each kind of key.
struct SampleConfig {
  SampleOuter outer;
  std::vector<std::string> files;
  std::vector<double> shares = {0.5};
  std::vector<int64_t> counts;
  double share = 0.25;
  std::string device = "cpu";
  std::string path;

  bool operator==(const SampleConfig&) const = default;
  template <class V>
  void visit(V& v) {
    v("outer", outer, "the outer group");
    v("files", files, "some files", file_path());
    v("shares", shares, "some shares", in_range(0, 1));
    v("counts", counts, "some counts");
    v("share", share, "one share", from_to_below(0, 1));
    v("device", device, "the device",
      matching("cpu or cuda", [](std::string_view s) { return s == "cpu" || s == "cuda"; }));
    v("path", path, "one file", file_path());
  }
};

/// Writes YAML files into a temporary folder and reads them; "DIR/" in a message stands for that folder.
class ConfigFolder {
 public:
  std::string write(const std::string& name, const std::string& text) const { return folder_.write(name, text); }

  SampleConfig read(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    SampleConfig config;
    read_config(config, write("x.yaml", text), overrides);
    return config;
  }

  /// The message of the error that reading raises; "" when it raises none.
  std::string fault(const std::string& text, const std::vector<std::string>& overrides = {}) const {
    return shorten(fault_of<Error>([&] { read(text, overrides); }));
  }

  std::string shorten(const std::string& message) const { return folder_.shorten(message); }

  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace shine::test
