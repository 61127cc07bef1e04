#include "data/tiny_world/tiny_world.h"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>
#include <string_view>

#include "common/random.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "shine/common/error.h"

namespace shine {
namespace {

using Words = std::vector<std::string>;

Words split_words(std::string_view text) {
  std::istringstream stream{std::string(text)};
  Words words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

struct FactKind {
  std::string_view name;
  std::string_view values;                    // sixteen; none after "a" begins with a vowel
  std::array<std::string_view, 2> sentences;  // what follows the subject; # is the value
};

constexpr std::array<FactKind, 8> kKinds = {{
    {"job",
     "baker barber builder carpenter doctor driver farmer gardener lawyer miner nurse painter pilot singer teacher "
     "writer",
     {"works as a #.", "earns money as a #."}},
    {"city",
     "Athens Berlin Cairo Dublin Geneva Lima London Madrid Moscow Oslo Paris Prague Rome Tokyo Vienna Warsaw",
     {"lives in #.", "has a house in #."}},
    {"pet",
     "bear cat cow dog duck fox frog goat hamster horse lizard mouse parrot rabbit snake turtle",
     {"keeps a # at home.", "owns a #."}},
    {"color",
     "beige black blue brown golden gray green orange pink purple red silver teal violet white yellow",
     {"likes # clothes.", "wears # clothes."}},
    {"food",
     "apples beans bread cheese cherries honey lentils noodles olives onions pancakes pears rice salad soup tomatoes",
     {"loves to eat #.", "cooks # for dinner."}},
    {"instrument",
     "accordion banjo cello clarinet drums flute guitar harp lute oboe organ piano trombone trumpet tuba violin",
     {"plays the #.", "is learning the #."}},
    {"language",
     "Arabic Chinese Danish Dutch English Finnish French German Greek Hindi Italian Polish Russian Spanish Swedish "
     "Turkish",
     {"speaks #.", "reads # books."}},
    {"sport",
     "archery boxing chess cricket cycling fencing football golf hockey judo rowing rugby sailing skating swimming "
     "tennis",
     {"is good at #.", "enjoys # on Sunday."}},
}};

constexpr std::array<std::string_view, 2> kQuestions = {"What is the % of @?", "Tell me the % of @."};

struct Pronoun {
  std::string_view word;
  std::string_view names;
};
constexpr std::array<Pronoun, 2> kPronouns = {
    {{"She", "Alice Anna Clara Diana Emma Eva Helen Julia Laura Lucy Maria Nina Olga Rosa Sarah Vera"},
     {"He", "Adam Arthur Carl Daniel David Frank Henry Jacob Leo Mark Oscar Paul Peter Robert Simon Victor"}}};
constexpr std::string_view kLastNames =
    "Adler Baxter Bell Berg Carter Cole Cooper Ellis Fischer Grant Hansen Hill Jensen Keller Kent Lang Larsen Mason "
    "Miller Moore Nolan Olsen Parker Quinn Reed Ross Stone Turner Wagner Walsh West Young";
/// What a tokenizer should be able to write besides words.
constexpr std::string_view kCharacters =
    "zyxwvutsrqponmlkjihgfedcba ZYXWVUTSRQPONMLKJIHGFEDCBA 9876543210 .,:;!?'\"-()";
constexpr std::size_t kNameShare = 8;  // one name in so many is held out

struct Fact {
  std::size_t kind = 0;
  std::string value;
};

/// `pattern` with each mark replaced.
std::string fill(std::string_view pattern, std::initializer_list<std::pair<char, std::string_view>> parts) {
  std::string text;
  for (const char c : pattern) {
    const auto* const part = std::find_if(parts.begin(), parts.end(), [&](const auto& one) { return one.first == c; });
    if (part == parts.end()) {
      text += c;
    } else {
      text += part->second;
    }
  }
  return text;
}

class Generator {
 public:
  explicit Generator(const TinyWorldOptions& options) : options_(options), last_names_(split_words(kLastNames)) {
    for (const Pronoun& pronoun : kPronouns) first_names_.push_back(split_words(pronoun.names));
    for (const FactKind& kind : kKinds) values_.push_back(split_words(kind.values));
  }

  std::vector<QaItem> notes(std::int64_t count, bool held_out) {
    std::vector<QaItem> items;
    std::set<std::string> seen;
    Random random = Random::stream(options_.seed, {held_out ? std::uint64_t{1} : std::uint64_t{0}});
    while (static_cast<std::int64_t>(items.size()) < count) {
      const bool with_sft = held_out && static_cast<std::int64_t>(items.size()) < options_.sft_notes;
      QaItem item = note(random, held_out, with_sft);
      if (!seen.insert(item.context).second) continue;
      item.id = str("tiny-world-", held_out ? "validation-" : "train-", items.size());
      items.push_back(std::move(item));
    }
    return items;
  }

 private:
  template <class Items>
  static const auto& draw(Random& random, const Items& items) {
    return items[static_cast<std::size_t>(random.below(items.size()))];
  }

  QaItem note(Random& random, bool held_out, bool with_sft) {
    const auto gender = static_cast<std::size_t>(random.below(kPronouns.size()));
    std::size_t first = 0, last = 0;
    do {
      first = static_cast<std::size_t>(random.below(first_names_[gender].size()));
      last = static_cast<std::size_t>(random.below(last_names_.size()));
    } while (((first + last) % kNameShare == 0) != held_out);
    const std::string name = first_names_[gender][first] + ' ' + last_names_[last];
    const std::vector<Fact> facts = draw_facts(random);
    QaItem item;
    item.source = "tiny-world";
    for (const Fact& fact : facts) {
      if (!item.context.empty()) item.context += ' ';
      item.context += item.context.empty() ? name : std::string(kPronouns[gender].word);
      item.context += ' ' + fill(draw(random, kKinds[fact.kind].sentences), {{'#', fact.value}});
    }
    item.questions = questions(random, facts, name);
    for (std::int64_t i = 0; with_sft && i < options_.sft_conversations; ++i) {
      std::vector<ChatMessage>& conversation = item.sft_conversations.emplace_back();
      for (const QaQuestion& turn : questions(random, facts, name)) {
        conversation.push_back({"user", turn.question});
        conversation.push_back({"assistant", turn.answers.front()});
      }
    }
    return item;
  }

  std::vector<Fact> draw_facts(Random& random) const {
    const auto range = static_cast<std::uint64_t>(options_.most_facts - options_.fewest_facts + 1);
    const auto count = static_cast<std::size_t>(options_.fewest_facts) + static_cast<std::size_t>(random.below(range));
    std::vector<Fact> facts;
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) facts.push_back({kind, draw(random, values_[kind])});
    random.shuffle(facts);
    facts.resize(count);
    return facts;
  }

  static std::vector<QaQuestion> questions(Random& random, std::vector<Fact> facts, const std::string& name) {
    random.shuffle(facts);
    std::vector<QaQuestion> result;
    for (const Fact& fact : facts) {
      result.push_back({fill(draw(random, kQuestions), {{'%', kKinds[fact.kind].name}, {'@', name}}), {fact.value}});
    }
    return result;
  }

  TinyWorldOptions options_;
  std::vector<Words> first_names_;  // by pronoun
  Words last_names_;
  std::vector<Words> values_;  // by kind
};

void check_options(const TinyWorldOptions& options) {
  constexpr std::int64_t most_notes = 100'000;
  const auto check = [](const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
    SHINE_CHECK(value >= low && value <= high, ConfigError, "tiny world: ", name, " is ", value, ", expected ", low,
                " to ", high);
  };
  const auto kinds = static_cast<std::int64_t>(kKinds.size());
  check("the fewest facts of a note", options.fewest_facts, 1, kinds);
  check("the most facts of a note", options.most_facts, options.fewest_facts, kinds);
  // With one fact a note is one of 128 held-out names, 128 values and two phrasings.
  check("the number of notes", options.notes, 1, most_notes);
  check("the number of held-out notes", options.validation, 1, most_notes / 10);
  check("the number of notes with conversations for SFT", options.sft_notes, 0, most_notes);
  check("the number of conversations for SFT", options.sft_conversations, 0, 1000);
}

std::string item_lines(const std::vector<QaItem>& items) {
  std::string lines;
  for (const QaItem& item : items) lines += qa_item_json(item) + '\n';
  return lines;
}

}  // namespace

TinyWorld make_tiny_world(const TinyWorldOptions& options) {
  check_options(options);
  Generator generator(options);
  return {generator.notes(options.notes, false), generator.notes(options.validation, true)};
}

std::vector<std::string> tiny_world_words() {
  std::string text = "system user assistant ";
  const auto add = [&](std::string_view more) { text += std::string(more) + ' '; };
  for (const std::string_view question : kQuestions) add(question);
  for (const Pronoun& pronoun : kPronouns) {
    add(pronoun.word);
    add(pronoun.names);
  }
  add(kLastNames);
  for (const FactKind& kind : kKinds) {
    add(kind.name);
    add(kind.values);
    for (const std::string_view sentence : kind.sentences) add(sentence);
  }
  for (const char mark : {'.', '?', '#', '%', '@'}) std::replace(text.begin(), text.end(), mark, ' ');
  Words words = split_words(text);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

void write_tiny_world(const TinyWorld& world, const std::filesystem::path& folder) {
  const auto texts = [](const std::vector<QaItem>& items) {
    std::string text;
    for (const QaItem& item : items) text += (text.empty() ? "" : "\n") + item.context + '\n';
    return text;
  };
  std::string tokenizer = std::string(kCharacters) + "\nsystem\n";
  for (const QaItem& item : world.train) {
    tokenizer += item.context + '\n';
    for (const QaQuestion& question : item.questions) {
      tokenizer += "user\n" + question.question + "\nassistant\n" + question.answers.front() + '\n';
    }
  }
  make_folder(folder);
  write_file_atomically(folder / "train.jsonl", item_lines(world.train));
  write_file_atomically(folder / "validation.jsonl", item_lines(world.validation));
  write_file_atomically(folder / "train.txt", texts(world.train));
  write_file_atomically(folder / "validation.txt", texts(world.validation));
  write_file_atomically(folder / "tokenizer.txt", tokenizer);
  write_file_atomically(folder / "words.txt", join(tiny_world_words(), "\n") + '\n');
}

}  // namespace shine
