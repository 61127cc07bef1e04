#pragma once

#include <filesystem>
#include <string_view>

#include "data/convert/collector.h"

namespace shine {

/// Each reads one file in a published layout. Throws IoError, FormatError naming file, item and key.

void convert_ift(const std::filesystem::path& file, QaCollector& items);
void convert_msmarco_mqa(const std::filesystem::path& file, QaCollector& items);
void convert_squad(const std::filesystem::path& file, QaCollector& items);

/// HotpotQA and 2WikiMultihopQA. Paragraphs are joined by a blank line, without their titles.
void convert_hotpotqa(const std::filesystem::path& file, std::string_view sentence_separator, QaCollector& items);

/// Paragraphs as with convert_hotpotqa; the answer's aliases count as answers.
void convert_musique(const std::filesystem::path& file, QaCollector& items);

/// A .tsv file with the .ans file beside it; the right option's text is the answer.
void convert_mctest(const std::filesystem::path& file, QaCollector& items);

}  // namespace shine
