#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "adapter/reduce_rank.h"
#include "adapter/target_limits.h"
#include "shine/adapter/adapter.h"
#include "shine/common/api.h"

namespace shine {

/// Types that an adapter's numbers are written in.
enum class AdapterDtype { float32, bfloat16, float16 };
constexpr std::array<std::string_view, 3> config_names(AdapterDtype) {
  return {"float32", "bfloat16", "float16"};
}

/// How adapters are exported.
struct ExportOptions {
  AdapterFormat format = AdapterFormat::peft;
  std::optional<AdapterDtype>
      dtype;                  ///< absent: float32, and with `merged` that of the backbone, which is the only one
  std::int64_t max_rank = 0;  ///< 0: as it is
  std::optional<AdapterTarget> target;  ///< whose limits are checked
};

/// The backbone that the adapters are for.
struct ExportBase {
  std::filesystem::path model;
  DecoderConfig config;

  /// Reads config.json. Throws what read_decoder_config throws.
  SHINE_API static ExportBase of(const std::filesystem::path& model);
};

/// What can be told before an adapter of `rank` for the base is made. Throws UnsupportedError (require_limits),
/// ConfigError (an option without effect).
SHINE_API void check_export(const std::filesystem::path& output, const ExportOptions& options, const ExportBase& base,
                            std::int64_t rank);

/// Throws IoError where it exists.
SHINE_API void require_absent(const std::filesystem::path& output);

/// Lowers the rank, checks the limits, then writes. Throws what check_export, require_absent, write_adapter and
/// write_merged_model throw. Returns what was written.
SHINE_API ReducedAdapter export_adapter(const Adapter& adapter, const std::filesystem::path& output,
                                        const ExportOptions& options, const ExportBase& base);

/// For people: file, format, rank, identity, the error of a lower rank and how the target loads it.
SHINE_API std::string export_text(const ReducedAdapter& written, const std::filesystem::path& output,
                                  const ExportOptions& options);

}  // namespace shine
