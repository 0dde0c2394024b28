#include "common/plan/yaml_node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/str_format.h"

// The only file that knows yaml-cpp. It throws; everything is caught in Parse.
namespace broadside::plan::yaml {
namespace {

std::string Place(const std::string& name, int source, int line, int column) {
  if (source != 0) return name + ": ";
  return absl::StrFormat("%s:%d:%d: ", name, line, column);
}

/// Thrown by the handler through yaml-cpp, which has no other way to stop.
struct Refused : std::exception {
  Refused(Mark where, std::string text) : mark(where), message(std::move(text)) {}
  Mark mark;
  std::string message;
};

size_t CountNodes(const Node& node) {
  size_t count = 1;
  for (const Node& item : node.items) count += CountNodes(item);
  for (const Node::Entry& entry : node.entries) count += CountNodes(entry.value);
  return count;
}

/// Builds the tree from the parser's events.
class Builder : public YAML::EventHandler {
 public:
  Builder(std::string_view text, int source) : text_(text), source_(source) {}

  std::optional<Node> root;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (root) throw Refused(At(mark), "a second YAML document; a plan is one document");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.mark = At(mark);
    Add(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) throw Refused(At(mark), "an alias inside the node it names");
    nodes_ += CountNodes(found->second);
    Node copy = found->second;
    copy.mark = At(mark);
    Add(std::move(copy), 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    CheckTag(mark, tag);
    Node node;
    node.kind = Node::Kind::kScalar;
    node.quoted = tag == "!";
    node.mark = At(mark);
    node.text = value;
    if (node.quoted) CheckClosed(mark);
    if (!node.quoted && (value == "~" || value == "null" || value.empty()))
      node.kind = Node::Kind::kNull;
    Add(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { End(); }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    std::optional<Node> key;
  };

  // yaml-cpp counts from 0; its null mark is −1.
  Mark At(const YAML::Mark& mark) const {
    return Mark{source_, std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
  }
  void CheckTag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused(At(mark), "the tag \"" + tag +
                                  "\"; a plan has no tags: quote a value that starts with !");
  }
  /// yaml-cpp takes the end of the text for the closing quote.
  void CheckClosed(const YAML::Mark& mark) const {
    size_t at = static_cast<size_t>(std::max(mark.pos, 0));
    if (at >= text_.size() || (text_[at] != '"' && text_[at] != '\'')) return;
    const char quote = text_[at];
    for (++at; at < text_.size() && text_[at] != quote; ++at)
      if (quote == '"' && text_[at] == '\\') ++at;
    if (at >= text_.size()) throw Refused(At(mark), "a text whose closing quote is missing");
  }
  void Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             Node::Kind kind) {
    CheckTag(mark, tag);
    if (stack_.size() >= static_cast<size_t>(kMaxDepth))
      throw Refused(At(mark), absl::StrFormat("nested more than %d deep", kMaxDepth));
    Open open;
    open.node.kind = kind;
    open.node.mark = At(mark);
    open.anchor = anchor;
    stack_.push_back(std::move(open));
  }
  void End() {
    Open open = std::move(stack_.back());
    stack_.pop_back();
    Add(std::move(open.node), open.anchor);
  }
  void Add(Node node, YAML::anchor_t anchor) {
    if (++nodes_ > kMaxNodes)
      throw Refused(node.mark, absl::StrFormat("more than %d values, aliases counted as often as "
                                               "they are used",
                                               kMaxNodes));
    if (anchor != 0) anchors_[anchor] = node;
    if (stack_.empty()) {
      root = std::move(node);
      return;
    }
    Open& open = stack_.back();
    if (open.node.kind == Node::Kind::kList) {
      open.node.items.push_back(std::move(node));
    } else if (!open.key) {
      AcceptKey(open, std::move(node));
    } else {
      open.node.entries.push_back({open.key->text, open.key->mark, std::move(node)});
      open.key.reset();
    }
  }
  void AcceptKey(Open& open, Node key) {
    if (key.kind == Node::Kind::kNull && !key.text.empty()) key.kind = Node::Kind::kScalar;
    if (key.kind != Node::Kind::kScalar)
      throw Refused(key.mark, "a key that is not a plain word; quote it if it holds [ ] { } or ?");
    if (const Node::Entry* first = open.node.Find(key.text))
      throw Refused(key.mark, absl::StrFormat("\"%s\" stands here twice; the first is in line %d",
                                              key.text, first->mark.line));
    open.key = std::move(key);
  }

  std::string_view text_;
  int source_;
  size_t nodes_ = 0;
  std::vector<Open> stack_;
  std::map<YAML::anchor_t, Node> anchors_;
};

std::string_view LineOf(std::string_view text, int line) {
  for (int n = 1; n < line; ++n) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find_first_of("\r\n"));
}

/// True where the line has a value that YAML reads as an operator because it is not quoted.
bool HoldsUnquotedMark(std::string_view line) {
  for (const std::string_view before : {": ", "- ", "[", ", ", "{"}) {
    for (size_t at = line.find(before); at != std::string_view::npos;
         at = line.find(before, at + 1)) {
      const size_t value = line.find_first_not_of(' ', at + before.size());
      if (value != std::string_view::npos &&
          std::string_view(">%@`&*!|").find(line[value]) != std::string_view::npos)
        return true;
    }
  }
  return false;
}

std::string ExplainYaml(std::string_view text, int line, std::string message) {
  constexpr std::string_view kQuote =
      "quote a value that starts with > % @ & * ! or |, and inside { } or [ ] one that holds "
      "? [ ] { } or a comma";
  const std::string_view source = LineOf(text, line);
  std::string out = "this is not YAML (" + std::move(message) + ")";
  if (HoldsUnquotedMark(source) || source.find_first_of("[]{}?%@`") != std::string_view::npos)
    return out + ": " + std::string(kQuote);
  return out + ": look at the indentation, quotes and brackets of this line and the one above";
}

/// YAML forbids tabs in the indentation of block style, and yaml-cpp then talks about something
/// else. Flow style (JSON) and block scalars may have them.
std::optional<Mark> TabInIndentation(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos && (text[first] == '{' || text[first] == '[')) return {};
  int number = 0;
  std::optional<size_t> block_scalar;  // indentation of the line that began it
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) continue;
    const size_t spaces = line.find_first_not_of(' ');
    if (block_scalar) {
      if (spaces > *block_scalar) continue;
      block_scalar.reset();
    }
    if (spaces < start && line[start] != '#' && line[start] != '}' && line[start] != ']')
      return Mark{0, number, static_cast<int>(spaces) + 1};
    const size_t last = line.find_last_not_of(" \t\r+-0123456789");
    if (last != std::string_view::npos && last > 0 && (line[last] == '|' || line[last] == '>') &&
        line[last - 1] == ' ')
      block_scalar = spaces;
  }
  return {};
}

/// Bytes of the UTF-8 sequence at the start of `text`; 0 if it is not one.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) > 0x9F) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

Status CheckCharacters(std::string_view text, int source, const std::string& name) {
  int line = 1;
  size_t line_start = 0;
  for (size_t i = 0; i < text.size();) {
    const size_t length = Utf8Length(text.substr(i));
    const int column = static_cast<int>(i - line_start) + 1;
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (length == 0)
      return InvalidArgument(
          Place(name, source, line, column) +
          absl::StrFormat("byte 0x%02x is not UTF-8; save the file as UTF-8", c));
    if (c < 0x20 && c != '\n' && c != '\r' && c != '\t')
      return InvalidArgument(Place(name, source, line, column) +
                             absl::StrFormat("control character 0x%02x; inside double quotes "
                                             "write \\x%02x",
                                             c, c));
    i += length;
    if (c == '\n') {
      ++line;
      line_start = i;
    }
  }
  return {};
}

}  // namespace

const Node::Entry* Node::Find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

Node::Entry* Node::Find(std::string_view key) {
  return const_cast<Entry*>(std::as_const(*this).Find(key));
}

bool IsText(std::string_view text) { return CheckCharacters(text, 1, "").ok(); }

StatusOr<Node> Parse(std::string_view text, int source, const std::string& name) {
  if (text.size() > kMaxBytes)
    return InvalidArgument(
        Place(name, source, 1, 1) +
        absl::StrFormat("%d bytes; a plan has at most %d", text.size(), kMaxBytes));
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  BROADSIDE_RETURN_IF_ERROR(CheckCharacters(text, source, name));
  if (const auto tab = TabInIndentation(text))
    return InvalidArgument(Place(name, source, tab->line, tab->column) +
                           "a tab in the indentation; YAML indents by spaces only");
  Builder builder(text, source);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return InvalidArgument(Place(name, source, refused.mark.line, refused.mark.column) +
                           refused.message);
  } catch (const YAML::Exception& error) {
    const int line = std::max(error.mark.line, 0) + 1;
    return InvalidArgument(Place(name, source, line, std::max(error.mark.column, 0) + 1) +
                           ExplainYaml(text, line, error.msg));
  } catch (const std::exception& error) {
    return InvalidArgument(Place(name, source, 1, 1) + "this is not YAML (" + error.what() + ")");
  }
  if (!builder.root || builder.root->kind == Node::Kind::kNull)
    return InvalidArgument(Place(name, source, 1, 1) + "the file is empty");
  return *std::move(builder.root);
}

}  // namespace broadside::plan::yaml
