#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "io/files/mapped_file.h"
#include "io/torch_format/torch_pickle.h"

namespace shine {

// torch.save before PyTorch 1.6, and later with _use_new_zipfile_serialization=False: pickles of a number that marks
// the form, the form's version, the machine's byte order, the value, and the keys of its storages; then each storage's
// number of elements (int64) and bytes.

bool is_legacy_torch_file(std::span<const std::byte> bytes);

/// Throws FormatError.
PickleValue read_legacy_torch_file(std::shared_ptr<const MappedFile> file);

}  // namespace shine
