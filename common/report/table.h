#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/report/format.h"

/// A table of text with columns as wide as their widest cell. Pure, one thread.
namespace broadside::report {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kRight;
  };
  struct Cell {
    std::string text;
    std::optional<Colour> colour;
    /// Runs over the columns to its right, which stay empty: for a note in place of numbers.
    bool wide = false;
  };

  Table(std::vector<Column> columns, bool unicode)
      : columns_(std::move(columns)), unicode_(unicode) {}

  /// Missing cells are empty; more cells than columns are a bug.
  void Add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  /// The title line and a line a row, columns two spaces apart, no spaces at the ends of lines.
  /// Columns whose cells are all empty are left out.
  std::string Render(bool colour) const;

 private:
  std::vector<Column> columns_;
  bool unicode_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace broadside::report
