// Owns the precompiled header (see pch.h).
