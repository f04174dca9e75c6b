// Errors as data: what was called, which argument, what was expected, what came. The binding makes them Python
// exceptions (engine/errors.py), which word them.
#pragma once
#include <stdexcept>
#include <string>

namespace engine {

enum class ErrorKind { value, type, index, memory, runtime, buffer };

// Visible, since the modules of other devices throw it into this one.
struct __attribute__((visibility("default"))) Error : std::runtime_error { // whose text is for debuggers alone
  ErrorKind kind;
  std::string op, argument, expected, got; // expected and got: phrases, as in "expected 2 dimensions, got 3"
  std::string hint;                        // how to mend it, or why it came; may be empty
  Error(ErrorKind k, std::string op_, std::string argument_, std::string expected_, std::string got_,
        std::string hint_ = "")
      : std::runtime_error(op_ + ", " + argument_),
        kind(k),
        op(std::move(op_)),
        argument(std::move(argument_)),
        expected(std::move(expected_)),
        got(std::move(got_)),
        hint(std::move(hint_)) {}
};

} // namespace engine
