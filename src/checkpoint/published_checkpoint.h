#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "shine/tensor/raw_tensor.h"

namespace shine {

// The layout of the published implementation: mem_tokens.pt, metanetwork.pth, metalora.pth and, where a second
// Meta-LoRA was trained, ift_additional_metalora.pth, by torch.save; trainer_state.json. It has no place for the
// embedding rows of added tokens: they go to a file of our own, new_token_rows.pt.

/// The tensors under this project's names: mem_tokens, metanetwork.*, metalora.*, extra_metalora.*, new_token_rows.
/// Throws IoError or FormatError.
RawTensorDict read_published_checkpoint(const std::filesystem::path& folder);

/// `global_step` of trainer_state.json; 0 where there is no such file. Throws FormatError.
std::int64_t read_published_step(const std::filesystem::path& folder);

/// Throws FormatError at `where`, by name, for tensors that the layout has no place for and for missing ones: no
/// conversion loses anything silently.
void check_published_names(const RawTensorDict& weights, const std::string& where);

/// Writes the folder with the types, flags and order of keys of the published files; the first Meta-LoRA counts as
/// trained unless there is a second. Written under a temporary name, synced and renamed, without a mark. Throws
/// FormatError as check_published_names, and IoError, also where `folder` exists.
void write_published_checkpoint(const std::filesystem::path& folder, const RawTensorDict& weights, std::int64_t step);

/// The published checkpoint that `path` stands for: itself; of a published run's folder `final`, else the
/// checkpoint-epoch-<n> of the last epoch, else the checkpoint-<step> of the highest step. Nothing where none is there.
std::optional<std::filesystem::path> find_published_checkpoint(const std::filesystem::path& path);

}  // namespace shine
