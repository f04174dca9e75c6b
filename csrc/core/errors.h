// Errors in one form: "[op] argument: expected X, got Y". The binding turns them into Python exceptions.
#pragma once
#include <stdexcept>
#include <string>

namespace engine {

enum class ErrorKind { value, type, index, memory, runtime };

// Visible, since the modules of other devices throw it into this one.
struct __attribute__((visibility("default"))) Error : std::runtime_error {
  ErrorKind kind;
  Error(ErrorKind k, const std::string& message) : std::runtime_error(message), kind(k) {}
};

} // namespace engine
