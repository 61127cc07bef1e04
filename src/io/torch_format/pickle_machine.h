#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/torch_format/torch_pickle.h"
#include "io/torch_format/torch_storage.h"

namespace shine {

/// Runs a pickle of protocol 2 to 5 with the opcodes that torch.save emits. Objects exist only as data: the globals on
/// the white list are names for building tensors and dicts, none is looked up or called. Steps, objects, nesting and
/// memory are bounded. Throws FormatError "where: byte n: ..".
PickleValue run_pickle(std::span<const std::byte> pickle, TorchStorages& storages, const std::string& where);

/// The same for the first of several pickles: `bytes` becomes what follows it.
PickleValue run_first_pickle(std::span<const std::byte>& bytes, TorchStorages& storages, const std::string& where);

}  // namespace shine
