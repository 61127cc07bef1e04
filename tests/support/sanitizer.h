#pragma once

/// SHINE_ADDRESS_SANITIZER is defined where the tests run under the address sanitizer, which takes signals and the
/// allocator for itself.
#if defined(__SANITIZE_ADDRESS__)
#define SHINE_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHINE_ADDRESS_SANITIZER
#endif
#endif
