#pragma once

#include <filesystem>

#include "io/torch_format/torch_pickle.h"

namespace shine {

/// Writes a file as torch.save of PyTorch 2.11 does (zip form, pickle protocol 2, storages at multiples of 64 bytes, so
/// that torch.load with weights_only and with mmap takes it): the same bytes but for the serialization id, which
/// PyTorch computes differently. Every tensor gets a storage of its own, named by its index. Mapped tensors are copied
/// a few MiB at a time. Written under a temporary name, synced and renamed. Throws FormatError (a key twice in a dict,
/// bytes that do not match the shape, text that is not UTF-8, more than 64 nested containers) and IoError naming the
/// path; nothing is left behind then.
void write_torch_file(const std::filesystem::path& path, const PickleValue& value);

}  // namespace shine
