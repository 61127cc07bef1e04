#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shine/common/api.h"
#include "shine/distributed/process_group.h"

namespace shine {

/// The text of `root`, on every rank.
SHINE_API std::string broadcast_text(ProcessGroup& group, const std::string& text, int root = 0);

/// The texts of all ranks, by rank, on every rank.
std::vector<std::string> gather_texts(ProcessGroup& group, const std::string& text);

/// Throws ConfigError on every rank where a rank's text is not that of rank 0: "WHAT differs between ranks: 2, 3 ..".
void require_equal(ProcessGroup& group, const std::string& text, std::string_view what, std::string_view cure);

/// require_equal of the program's version, the configuration and the inputs (hashes by name).
void require_same_work(ProcessGroup& group, const std::string& config_yaml,
                       const std::map<std::string, std::string>& fingerprints);

}  // namespace shine
