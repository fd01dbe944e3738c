//! The results: tables that can go into a document as they are, and the same numbers for the plots.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

/// All tables of one run.
#[derive(Debug)]
pub(crate) struct Report {
    conditions: String,
    tables: Vec<Table>,
}

/// One table. Its first column says what was measured.
#[derive(Debug)]
pub(crate) struct Table {
    title: &'static str,
    columns: Vec<String>,
    lines: Vec<(&'static str, Vec<Cell>)>,
}

/// What stands in one place of a table.
#[derive(Debug)]
pub(crate) enum Cell {
    /// It was not measured.
    Nothing,
    /// A number; what no round counted for is none.
    Number(f64),
    /// Two of a kind: least and median, or median and 99th percentile.
    Pair(f64, f64),
    /// A number, and what is allowed.
    Within(f64, f64),
    /// What is allowed.
    AtMost(f64),
    /// Anything else.
    Text(String),
}

impl Report {
    /// A report that begins with what the numbers depend on.
    pub(crate) fn begin(conditions: String) -> Self {
        println!("{conditions}");
        Self {
            conditions,
            tables: Vec::new(),
        }
    }

    /// Prints and keeps `table`, if anything is in it.
    pub(crate) fn add(&mut self, table: Table) {
        if !table.lines.is_empty() {
            println!("\n{table}");
            self.tables.push(table);
        }
    }

    /// Writes `load.md` and `load.json` into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        let tables = self.tables.iter().map(|table| format!("\n{table}\n"));
        let text = format!("{}\n{}", self.conditions, tables.collect::<String>());
        fs::write(folder.join("load.md"), text)?;
        let numbers = json!({
            "conditions": self.conditions,
            "tables": self.tables.iter().map(Table::to_json).collect::<Vec<_>>(),
        });
        fs::write(
            folder.join("load.json"),
            serde_json::to_vec_pretty(&numbers)?,
        )?;
        Ok(())
    }
}

impl Table {
    /// An empty table.
    pub(crate) fn new(title: &'static str, columns: &[&str]) -> Self {
        Self {
            title,
            columns: columns.iter().copied().map(str::to_owned).collect(),
            lines: Vec::new(),
        }
    }

    /// Adds a line, which begins with `title`.
    pub(crate) fn add(&mut self, title: &'static str, cells: Vec<Cell>) {
        self.lines.push((title, cells));
    }

    fn to_json(&self) -> Value {
        let lines = self.lines.iter().map(|(title, cells)| {
            let cells: Vec<_> = cells.iter().map(Cell::to_json).collect();
            json!({"title": title, "cells": cells})
        });
        json!({"title": self.title, "columns": self.columns, "lines": lines.collect::<Vec<_>>()})
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} |", self.title, self.columns.join(" | "))?;
        write!(f, "\n|---|{}", "---|".repeat(self.columns.len()))?;
        for (title, cells) in &self.lines {
            let cells: Vec<_> = cells.iter().map(Cell::to_string).collect();
            write!(f, "\n| {title} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

impl Cell {
    /// A number, with what is allowed if anything is.
    pub(crate) fn limited(number: f64, limit: Option<f64>) -> Self {
        limit.map_or(Self::Number(number), |limit| Self::Within(number, limit))
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Number(number) => json!(number),
            Self::Pair(one, other) => json!([one, other]),
            Self::Within(number, limit) => json!({"is": number, "limit": limit}),
            Self::AtMost(limit) => json!({"limit": limit}),
            Self::Text(text) => json!(text),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("–"),
            Self::Number(number) | Self::Within(number, _) if number.is_nan() => f.write_str("–"),
            Self::Number(number) if number.fract() == 0.0 => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number:.2}"),
            Self::Pair(one, other) => write!(f, "{one:.2} / {other:.2}"),
            Self::Within(number, limit) => write!(f, "{number:.2} (≤ {limit})"),
            Self::AtMost(limit) => write!(f, "≤ {limit}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
