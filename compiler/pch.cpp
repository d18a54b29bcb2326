// Carries the precompiled header; see compiler/pch.h.
