#include "common/report/table.h"

#include <algorithm>

#include "common/base/check.h"

namespace broadside::report {

void Table::Add(std::vector<Cell> cells) {
  BROADSIDE_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  if (!unicode_) {
    for (Cell& cell : cells) cell.text = ToAscii(cell.text);
  }
  rows_.push_back(std::move(cells));
}

std::string Table::Render(bool colour) const {
  std::vector<int> widths(columns_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      if (!row[i].wide) widths[i] = std::max(widths[i], DisplayWidth(row[i].text));
    }
  }
  std::vector<bool> shown(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    shown[i] = widths[i] > 0;
    widths[i] = std::max(widths[i], DisplayWidth(columns_[i].title));
  }
  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const Cell cell = cell_of(i);
      if (!shown[i] && !cell.wide) continue;
      if (i > 0) line += "  ";
      const int width = cell.wide ? 0 : widths[i];
      const bool left = columns_[i].align == Align::kLeft;
      std::string text = left ? PadRight(cell.text, width) : PadLeft(cell.text, width);
      line += cell.colour ? Paint(colour, *cell.colour, text) : text;
      if (cell.wide) break;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line([&](size_t i) {
    return Cell{unicode_ ? columns_[i].title : ToAscii(columns_[i].title), Colour::kDim, false};
  });
  for (const auto& row : rows_) add_line([&](size_t i) { return row[i]; });
  return out;
}

}  // namespace broadside::report
