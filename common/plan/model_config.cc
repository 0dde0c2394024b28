#include "common/plan/model_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

constexpr size_t kMaxBytes = 4 << 20;
constexpr int kMaxDepth = 32;
constexpr size_t kMaxFields = 100'000;

/// A field of protobuf's text format: a scalar's text, or the fields of a message.
struct Field {
  std::string name;
  int line = 0;
  bool message = false;
  bool quoted = false;
  std::string text;
  std::vector<Field> fields;
};

class TextFormat {
 public:
  TextFormat(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  StatusOr<std::vector<Field>> Run() {
    std::vector<Field> fields;
    Skip();
    const bool braces = Take('{');
    BROADSIDE_RETURN_IF_ERROR(Message(braces ? '}' : '\0', 0, fields));
    Skip();
    if (!text_.empty()) return Error("something follows the closing brace.");
    return fields;
  }

 private:
  Status Error(const std::string& message) const {
    return InvalidArgument(absl::StrFormat("%s:%d: %s", file_, line_, message));
  }

  /// White space, comments, and the fences of a snippet out of a Markdown page.
  void Skip() {
    while (!text_.empty()) {
      const char c = text_[0];
      if (c == '\n') ++line_;
      if (c == '#' || text_.starts_with("```")) {
        text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        text_.remove_prefix(1);
      } else {
        return;
      }
    }
  }
  bool Take(char c) {
    Skip();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string Found() {
    Skip();
    return text_.empty() ? "the end of the file" : Quoted(text_.substr(0, 1));
  }
  static bool IsWord(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+' || c == '.';
  }
  std::string Word() {
    Skip();
    const size_t end =
        static_cast<size_t>(std::find_if_not(text_.begin(), text_.end(), IsWord) - text_.begin());
    std::string word(text_.substr(0, end));
    text_.remove_prefix(end);
    return word;
  }

  Status Message(char close, int depth, std::vector<Field>& fields) {
    if (depth > kMaxDepth) return Error(absl::StrFormat("nested more than %d deep.", kMaxDepth));
    for (;;) {
      while (Take(',') || Take(';')) {
      }
      Skip();
      if (text_.empty() && close == '\0') return {};
      if (close != '\0' && Take(close)) return {};
      if (text_.empty()) return Error(absl::StrFormat("the file ends where %c is missing.", close));
      const int line = line_;
      std::string name = Word();
      if (name.empty() && Take('[')) {  // an extension or Any
        const size_t end = text_.find(']');
        if (end == std::string_view::npos) return Error("] is missing.");
        line_ += static_cast<int>(
            std::count(text_.begin(), text_.begin() + static_cast<long>(end), '\n'));
        name = "[" + std::string(text_.substr(0, end)) + "]";
        text_.remove_prefix(end + 1);
      }
      if (name.empty()) return Error("expected the name of a field, found " + Found() + ".");
      const bool colon = Take(':');
      BROADSIDE_RETURN_IF_ERROR(Values(name, line, colon, depth, fields));
    }
  }

  Status Values(const std::string& name, int line, bool colon, int depth,
                std::vector<Field>& fields) {
    if (!Take('[')) return Value(name, line, colon, depth, fields);
    while (!Take(']')) {
      if (text_.empty()) return Error("the file ends where ] is missing.");
      BROADSIDE_RETURN_IF_ERROR(Value(name, line_, true, depth, fields));
      Take(',');
    }
    return {};
  }

  Status Value(const std::string& name, int line, bool colon, int depth,
               std::vector<Field>& fields) {
    if (++count_ > kMaxFields) return Error(absl::StrFormat("more than %d fields.", kMaxFields));
    Field field;
    field.name = name;
    field.line = line;
    if (Take('{')) {
      field.message = true;
      BROADSIDE_RETURN_IF_ERROR(Message('}', depth + 1, field.fields));
    } else if (Take('<')) {
      field.message = true;
      BROADSIDE_RETURN_IF_ERROR(Message('>', depth + 1, field.fields));
    } else if (!colon) {
      return Error("after " + Quoted(name) + " stands : or {, found " + Found() + ".");
    } else if (!text_.empty() && (text_[0] == '"' || text_[0] == '\'')) {
      field.quoted = true;
      // Strings side by side are one.
      while (!text_.empty() && (text_[0] == '"' || text_[0] == '\'')) {
        BROADSIDE_RETURN_IF_ERROR(String(field.text));
        Skip();
      }
    } else {
      field.text = Word();
      if (field.text.empty())
        return Error("the value of " + Quoted(name) + " is missing, found " + Found() + ".");
    }
    fields.push_back(std::move(field));
    return {};
  }

  Status String(std::string& out) {
    const char quote = text_[0];
    text_.remove_prefix(1);
    while (!text_.empty() && text_[0] != quote) {
      char c = text_[0];
      if (c == '\n') break;
      text_.remove_prefix(1);
      if (c == '\\' && !text_.empty()) {
        // Names hold no escapes in practice; the common ones are enough to skip a string right.
        c = text_[0] == 'n' ? '\n' : text_[0] == 't' ? '\t' : text_[0];
        text_.remove_prefix(1);
      }
      out += c;
    }
    if (text_.empty() || text_[0] != quote) return Error("a string has no closing quote.");
    text_.remove_prefix(1);
    return {};
  }

  std::string_view text_;
  const std::string& file_;
  int line_ = 1;
  size_t count_ = 0;
};

/// model_config.proto's DataType by number; KServe's name by its text.
constexpr std::array<std::string_view, 15> kTypes = {"INVALID", "BOOL", "UINT8", "UINT16", "UINT32",
                                                     "UINT64",  "INT8", "INT16", "INT32",  "INT64",
                                                     "FP16",    "FP32", "FP64",  "BYTES",  "BF16"};

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  StatusOr<ModelConfig> Run(const std::vector<Field>& fields) {
    ModelConfig config;
    for (const Field& field : fields) {
      if (field.name == "name") config.name = field.text;
      if (field.name == "max_batch_size")
        BROADSIDE_RETURN_IF_ERROR(Integer(field, 0, INT32_MAX, config.max_batch_size));
      if (field.name == "model_transaction_policy")
        for (const Field& part : field.fields)
          if (part.name == "decoupled") config.decoupled = IsTrue(part);
      if (field.name == "input" || field.name == "output") {
        BROADSIDE_ASSIGN_OR_RETURN(TensorSpec tensor, Tensor(field));
        (field.name == "input" ? config.inputs : config.outputs).push_back(std::move(tensor));
      }
    }
    return config;
  }

 private:
  Status Error(const Field& field, const std::string& message) const {
    return InvalidArgument(
        absl::StrFormat("%s:%d: %s: %s", file_, field.line, field.name, message));
  }
  static bool IsTrue(const Field& field) {
    return field.text == "true" || field.text == "True" || field.text == "t" || field.text == "1";
  }

  Status Integer(const Field& field, int64_t least, int64_t most, int64_t& out) const {
    const char* const end = field.text.data() + field.text.size();
    const auto [at, error] = std::from_chars(field.text.data(), end, out);
    if (field.message || field.quoted || error != std::errc() || at != end || out < least ||
        out > most)
      return Error(field, absl::StrFormat("expected a whole number from %d to %d, found %s.", least,
                                          most, field.message ? "a message" : Quoted(field.text)));
    return {};
  }

  StatusOr<TensorSpec> Tensor(const Field& field) const {
    if (!field.message) return Error(field, "expected { … }, found " + Quoted(field.text) + ".");
    TensorSpec tensor;
    for (const Field& part : field.fields) {
      if (part.name == "name") tensor.name = part.text;
      if (part.name == "optional") tensor.optional = IsTrue(part);
      if (part.name == "data_type") {
        BROADSIDE_ASSIGN_OR_RETURN(tensor.datatype, Type(part));
      }
      if (part.name == "dims") {
        BROADSIDE_RETURN_IF_ERROR(Integer(part, -1, INT32_MAX, tensor.dims.emplace_back()));
      }
    }
    if (tensor.name.empty()) return Error(field, "a tensor without a name.");
    if (tensor.datatype.empty()) return Error(field, Quoted(tensor.name) + " has no data_type.");
    return tensor;
  }

  StatusOr<std::string> Type(const Field& field) const {
    std::string_view text = field.text;
    std::string_view digits = text;
    if (const auto number = TakeDecimal(digits);
        number && digits.empty() && number->digits > 0 &&
        number->digits < static_cast<int64_t>(kTypes.size()))
      return std::string(kTypes[static_cast<size_t>(number->digits)]);
    if (text.starts_with("TYPE_")) text.remove_prefix(5);
    if (text == "STRING") text = "BYTES";
    if (std::find(kTypes.begin() + 1, kTypes.end(), text) != kTypes.end()) return std::string(text);
    std::vector<std::string> known;
    for (const std::string_view type : kTypes) known.push_back("TYPE_" + std::string(type));
    return Error(field, Quoted(field.text) + " is not a data type." +
                            DidYouMean(field.text, known, " Write TYPE_FP32, TYPE_STRING, …"));
  }

  const std::string& file_;
};

}  // namespace

StatusOr<ModelConfig> ParseModelConfigText(std::string_view text, const std::string& file_name) {
  if (text.size() > kMaxBytes)
    return InvalidArgument(absl::StrFormat("%s:1: %d bytes; a config.pbtxt has at most %d.",
                                           file_name, text.size(), kMaxBytes));
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<Field> fields, TextFormat(text, file_name).Run());
  return Reader(file_name).Run(fields);
}

}  // namespace broadside::plan
