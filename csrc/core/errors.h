// Errors in one form: "[op] argument: expected X, got Y". The binding turns them into Python exceptions.
#pragma once
#include <stdexcept>
#include <string>

namespace engine {

enum class ErrorKind { value, type, index, memory, runtime };

struct Error : std::runtime_error {
  ErrorKind kind;
  Error(ErrorKind k, const std::string& message) : std::runtime_error(message), kind(k) {}
};

} // namespace engine
