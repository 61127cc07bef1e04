#include "config/yaml_tree.h"

#include <utf8proc.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "config/quote.h"
#include "shine/common/error.h"
#include "shine/common/str.h"

namespace shine {
namespace {

constexpr std::size_t kMostLevels = 16;
constexpr std::size_t kMostValues = 10000;

/// Checks only depth and a second document, so that the parser's own errors come before the tree's.
class SyntaxListener : public YAML::EventHandler {
 public:
  explicit SyntaxListener(const YamlSource& source) : source_(source) {}

  /// yaml-cpp starts document after document at a character that it cannot consume.
  void OnDocumentStart(const YAML::Mark& mark) override {
    if (seen_document_) throw ConfigError("text after the end of the only document", source_.place(mark.line));
    seen_document_ = true;
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
    enter(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void enter(const YAML::Mark& mark) {
    if (++depth_ > kMostLevels)
      throw ConfigError(str("nested deeper than ", kMostLevels, " levels"), source_.place(mark.line));
  }

  const YamlSource& source_;
  std::size_t depth_ = 0;
  bool seen_document_ = false;
};

/// Builds the tree from the parser's events.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const YamlSource& source, Faults& faults) : source_(source), faults_(faults) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    finish(std::move(node), mark, {}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    YamlNode node;
    refuse_anchor(mark, node);
    finish(std::move(node), mark, {}, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    node.kind = YamlNode::Kind::scalar;
    node.text = value;
    node.quoted = tag == "!";
    finish(std::move(node), mark, tag, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::list, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map whose children are being read.
  struct Level {
    YamlNode node;
    bool expects_key = false;
    std::string key;
    std::string key_place;
  };

  void refuse_anchor(const YAML::Mark& mark, YamlNode& node) {
    faults_.add(source_.place(mark.line), "anchors and aliases are not supported (write the value out, or use `base`)");
    node.kind = YamlNode::Kind::refused;
  }

  void check_properties(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YamlNode& node) {
    if (anchor != 0) refuse_anchor(mark, node);
    if (!tag.empty() && tag != "?" && tag != "!") {
      faults_.add(source_.place(mark.line), str("tags are not supported, found ", quote(tag)));
      node.kind = YamlNode::Kind::refused;
    }
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (!levels_.empty() && levels_.back().expects_key) throw_not_a_key(mark);
    Level level;
    level.node.kind = kind;
    level.node.place = source_.place(mark.line);
    level.node.layer = source_.layer;
    check_properties(mark, tag, anchor, level.node);
    level.expects_key = kind == YamlNode::Kind::map;
    levels_.push_back(std::move(level));
  }

  void close() {
    YamlNode node = std::move(levels_.back().node);
    levels_.pop_back();
    attach(std::move(node));
  }

  void finish(YamlNode node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    node.place = source_.place(mark.line);
    node.layer = source_.layer;
    check_properties(mark, tag, anchor, node);
    if (!levels_.empty() && levels_.back().expects_key) {
      take_key(node, mark);
    } else {
      attach(std::move(node));
    }
  }

  void take_key(const YamlNode& node, const YAML::Mark& mark) {
    if (node.kind != YamlNode::Kind::scalar) throw_not_a_key(mark);
    Level& level = levels_.back();
    level.key = node.text;
    level.key_place = node.place;
    level.expects_key = false;
  }

  void attach(YamlNode node) {
    if (++values_ > kMostValues) throw ConfigError(str("more than ", kMostValues, " values"), node.place);
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (!level.key_place.empty()) {
      node.key = std::move(level.key);
      node.place = std::move(level.key_place);
      level.key_place.clear();
      level.expects_key = true;
      if (const YamlNode* first = level.node.find(node.key)) {
        faults_.add(node.place, str("duplicate key ", quote(node.key), ", first set at ", first->place));
        return;
      }
    }
    level.node.children.push_back(std::move(node));
  }

  [[noreturn]] void throw_not_a_key(const YAML::Mark& mark) const {
    throw ConfigError("expected a name as key", source_.place(mark.line));
  }

  const YamlSource& source_;
  Faults& faults_;
  YamlNode root_;
  std::vector<Level> levels_;
  std::size_t values_ = 0;
};

/// Refuses what YAML forbids but yaml-cpp lets pass.
void check_bytes(const std::string& text, const YamlSource& source) {
  int line = 0;
  bool indentation = true;
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t code = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                                         static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (length <= 0) throw ConfigError("a byte that is not UTF-8", source.place(line));
    if (code == '\t' && indentation) throw ConfigError("tab in the indentation", source.place(line), "use spaces");
    const bool control = code < ' ' && code != '\t' && code != '\n' && code != '\r';
    if (control) throw ConfigError(str("control character of code ", code), source.place(line));
    if (code == '\n') ++line;
    indentation = code == '\n' || (indentation && code == ' ');
    at += static_cast<std::size_t>(length);
  }
}

/// YAML takes the brace of an unquoted `[${NAME}/x]` as the start of a map.
std::string cure_of(const std::string& text, const YamlSource& source) {
  for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at + 1)) {
    const std::size_t before = text.find_last_of("[,\"'\n", at);
    if (before == std::string::npos || (text[before] != '[' && text[before] != ',')) continue;
    const std::string example = R"(["${SHINE_SHARED}/x.txt"])";
    return "quote a value with ${..} inside [..]: " + (source.has_lines ? example : str("data.train='", example, "'"));
  }
  return {};
}

void parse_events(const std::string& text, const YamlSource& source, YAML::EventHandler& handler) {
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    parser.HandleNextDocument(handler);
    parser.HandleNextDocument(handler);  // finds nothing, or the start of a second document
  } catch (const YAML::Exception& fault) {
    const int line = fault.mark.is_null() ? 0 : fault.mark.line;
    std::string what = fault.msg;  // may quote a character of the text, whatever it is
    std::replace_if(
        what.begin(), what.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
    throw ConfigError("not YAML: " + what, source.place(line), cure_of(text, source));
  }
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view name) const {
  for (const YamlNode& child : children) {
    if (child.key == name) return &child;
  }
  return nullptr;
}

std::string YamlSource::place(int line_from_zero) const {
  return has_lines ? str(name, ":", line_from_zero + 1) : name;
}

YamlNode parse_yaml(const std::string& text, const YamlSource& source, Faults& faults) {
  check_bytes(text, source);
  // yaml-cpp notices an open quote only where no line end follows it.
  SyntaxListener listener(source);
  parse_events(text.substr(0, text.find_last_not_of(" \r\n") + 1), source, listener);
  TreeBuilder builder(source, faults);
  parse_events(text, source, builder);
  return builder.take();
}

}  // namespace shine
