#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/qa/qa_items.h"

namespace shine {

struct TinyWorldOptions {
  std::int64_t notes = 8000;      // to train on
  std::int64_t validation = 200;  // notes held out
  std::int64_t fewest_facts = 1;
  std::int64_t most_facts = 8;
  std::int64_t sft_notes = 20;          // held-out notes that have conversations for SFT: the first ones
  std::int64_t sft_conversations = 10;  // of each of these
  std::uint64_t seed = 1;
};

/// Short notes about one person each, with a question for every fact. A note draws a first and a last name and some of
/// eight facts (job, city, pet, color, food, instrument, language, sport), in random order and phrasing, each of
/// sixteen values; values are independent of names and of each other, so that without the note an answer is right once
/// in sixteen. No two notes are equal, and no name is in both sets, though every first and every last name is in both.
struct TinyWorld {
  std::vector<QaItem> train;
  std::vector<QaItem> validation;  // sft_conversations ask all facts of their note, in random order and phrasing
};

/// The same options give the same world. Throws ConfigError for options out of range (1 <= fewest_facts <= most_facts
/// <= 8; at most 100000 notes with fewest_facts 1, where distinct ones could run out).
TinyWorld make_tiny_world(const TinyWorldOptions& options);

/// All its words, names and values among them: what its tokenizer should have whole.
std::vector<std::string> tiny_world_words();

/// Writes train.jsonl and validation.jsonl (the form of read_qa_items), train.txt and validation.txt (the notes, a
/// blank line between two), tokenizer.txt (characters, training notes, questions, answers and roles, a line each) and
/// words.txt (tiny_world_words) into a folder, which is made. Throws IoError.
void write_tiny_world(const TinyWorld& world, const std::filesystem::path& folder);

}  // namespace shine
