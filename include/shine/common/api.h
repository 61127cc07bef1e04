#pragma once

/// What libshine exports; all else is hidden from whoever links it.
#define SHINE_API __attribute__((visibility("default")))
