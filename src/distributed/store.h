#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "shine/distributed/launch.h"

namespace shine {

/// c10d's unit of time-outs.
inline std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

/// The key-value store of a job, where its ranks meet: rank 0 serves it to all at the address and port of
/// require_master, unless the launcher does. Returns once every rank is there. A job of one serves itself at any free
/// port. Throws ConfigError as require_master, IoError where the ranks do not find each other in time, Error with the
/// reason of a rank that failed before it came.
c10::intrusive_ptr<c10d::Store> join_store(const Launch& launch, double timeout_seconds);

/// The same store for a rank that does not wait for the others. Throws ConfigError, IoError.
c10::intrusive_ptr<c10d::Store> connect_store(const Launch& launch, double timeout_seconds);

/// This rank serves the store and must leave it last.
bool serves_store(const Launch& launch);

/// Lets others work with the store, where this rank serves it, until `key` counts all ranks; not for longer.
void serve_until_all(c10d::Store& store, const Launch& launch, const std::string& key, double seconds);

/// Tells all why rank number `rank` fails, by the first line of `reason`; the first failure of a job counts. The rank
/// that serves the store waits, not for longer than `serve_seconds`, until all have heard it.
void publish_failure(c10d::Store& store, const Launch& launch, int rank, std::string_view reason, double serve_seconds);

/// The published failure, as "rank 2: reason"; empty where there is none. Waits as publish_failure.
std::string hear_failure(c10d::Store& store, const Launch& launch, double serve_seconds);

}  // namespace shine
