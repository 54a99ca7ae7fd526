//! The form of expression trees on the wire. Their meaning is in [`plan`](super::plan) and [`expr`](super::expr).
//!
//! A tree is read from a value that JSON and MessagePack give alike. What is wrong with its form is said with the
//! place: the node, and the member in it.

use std::collections::BTreeMap;

use rmpv::Value;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_bytes::ByteBuf;

use super::problem::{invalid, invalid_at};
use crate::error::FrameError;
use crate::request::ParamValue;
use crate::sql::nearest;

/// How deep maps and lists of a tree may lie in each other: reading goes as deep, and each level takes of the stack.
const MAX_DEPTH: usize = 400;

/// The version that this planner reads.
const VERSION: u32 = 1;

/// A named expression.
pub(super) type Named = (String, Expr);

/// A table expression; the last node is its result.
#[derive(Debug, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

/// One table of a tree. Nodes are referred to by their index, which must be lower than the index of who refers.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Table(TableNode),
    Sql(SqlNode),
    Project(ProjectNode),
    Filter(FilterNode),
    Aggregate(AggregateNode),
    Join(JoinNode),
    Sort(SortNode),
    Limit(LimitNode),
    Union(UnionNode),
    Distinct(DistinctNode),
    Number(NumberNode),
    Unnest(UnnestNode),
    Python(PythonNode),
}

const OPS: [&str; 13] = [
    "table",
    "sql",
    "project",
    "filter",
    "aggregate",
    "join",
    "sort",
    "limit",
    "union",
    "distinct",
    "number",
    "unnest",
    "python",
];

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableNode {
    pub(super) name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlNode {
    pub(super) query: String,
    #[serde(default)]
    pub(super) params: Vec<ParamValue>,
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, usize>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectNode {
    pub(super) input: usize,
    pub(super) columns: Vec<Named>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterNode {
    pub(super) input: usize,
    #[serde(rename = "where")]
    pub(super) condition: Expr,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateNode {
    pub(super) input: usize,
    #[serde(default)]
    pub(super) keys: Vec<Named>,
    #[serde(default)]
    pub(super) columns: Vec<Named>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JoinNode {
    pub(super) left: usize,
    pub(super) right: usize,
    pub(super) how: How,
    #[serde(default)]
    pub(super) on: Vec<(Expr, Expr)>,
    #[serde(default)]
    pub(super) nulls_equal: bool,
    #[serde(default, rename = "where")]
    pub(super) condition: Option<Expr>,
}

/// Which rows a join gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum How {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
    Cross,
}

impl TryFrom<String> for How {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let choices = [
            ("inner", Self::Inner),
            ("left", Self::Left),
            ("right", Self::Right),
            ("full", Self::Full),
            ("semi", Self::Semi),
            ("anti", Self::Anti),
            ("cross", Self::Cross),
        ];
        chosen(&name, &choices)
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortNode {
    pub(super) input: usize,
    pub(super) by: Vec<SortKey>,
    #[serde(default)]
    pub(super) fetch: Option<usize>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SortKey {
    pub(super) expr: Expr,
    #[serde(default)]
    pub(super) descending: bool,
    #[serde(default)]
    pub(super) nulls_first: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitNode {
    pub(super) input: usize,
    #[serde(default)]
    pub(super) skip: usize,
    #[serde(default)]
    pub(super) fetch: Option<usize>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnionNode {
    pub(super) inputs: Vec<usize>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DistinctNode {
    pub(super) input: usize,
    #[serde(default)]
    pub(super) on: Option<Vec<Expr>>,
    #[serde(default)]
    pub(super) by: Vec<SortKey>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberNode {
    pub(super) input: usize,
    pub(super) name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnnestNode {
    pub(super) input: usize,
    pub(super) column: String,
    #[serde(default = "yes")]
    pub(super) keep_empty: bool,
}

/// Rows that a Python function makes of the rows of `input`, or of nothing.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PythonNode {
    #[serde(default)]
    pub(super) input: Option<usize>,
    /// What it is called where people look.
    pub(super) name: String,
    /// The operation, as the executor of Python takes it.
    pub(super) function: ByteBuf,
    /// Names and types of the columns that it gives.
    pub(super) columns: Vec<(String, String)>,
    /// Whether it gives the columns of its input too, before those.
    #[serde(default)]
    pub(super) keep: bool,
    /// Rows with equal values of these come to the same call.
    #[serde(default)]
    pub(super) by: Vec<Expr>,
    /// Without an input: the arguments of each call, pickled.
    #[serde(default)]
    pub(super) calls: Vec<ByteBuf>,
    /// Whether the same rows always give the same rows.
    #[serde(default)]
    pub(super) pure: bool,
}

const fn yes() -> bool {
    true
}

/// A value computed from the columns of a row, or of many.
#[derive(Debug, PartialEq)]
pub(super) enum Expr {
    Col(ColForm),
    Lit(LitForm),
    Call(CallForm),
    Cast(Box<CastForm>),
    Case(Box<CaseForm>),
    In(Box<InForm>),
    Agg(Box<AggForm>),
    Window(Box<WindowForm>),
}

const KINDS: [&str; 8] = ["col", "lit", "call", "cast", "case", "in", "agg", "window"];

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColForm {
    pub(super) col: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LitForm {
    pub(super) lit: Value,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallForm {
    pub(super) call: String,
    #[serde(default)]
    pub(super) args: Vec<Expr>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CastForm {
    pub(super) cast: Expr,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default, rename = "try")]
    pub(super) or_null: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseForm {
    pub(super) case: Vec<(Expr, Expr)>,
    #[serde(default, rename = "else")]
    pub(super) otherwise: Option<Expr>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InForm {
    #[serde(rename = "in")]
    pub(super) value: Expr,
    pub(super) list: Vec<Expr>,
    #[serde(default)]
    pub(super) negated: bool,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggForm {
    pub(super) agg: String,
    #[serde(default)]
    pub(super) args: Vec<Expr>,
    #[serde(default)]
    pub(super) distinct: bool,
    #[serde(default, rename = "where")]
    pub(super) condition: Option<Expr>,
    #[serde(default)]
    pub(super) by: Vec<SortKey>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowForm {
    pub(super) window: String,
    #[serde(default)]
    pub(super) args: Vec<Expr>,
    #[serde(default)]
    pub(super) partition: Vec<Expr>,
    #[serde(default)]
    pub(super) by: Vec<SortKey>,
    #[serde(default)]
    pub(super) frame: Option<Frame>,
}

/// The rows around the current one that a window aggregates; bounds count from it, and none has no end.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    pub(super) unit: Unit,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
}

/// What the bounds of a frame count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Unit {
    Rows,
    Range,
    Groups,
}

impl TryFrom<String> for Unit {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let choices = [
            ("rows", Self::Rows),
            ("range", Self::Range),
            ("groups", Self::Groups),
        ];
        chosen(&name, &choices)
    }
}

/// What a name stands for. Values of this form read no enums from texts by themselves.
fn chosen<T: Copy>(name: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(known, _)| *known == name);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|(known, _)| *known).collect();
        format!("'{name}' is none of {}", known.join(", "))
    })
}

impl Tree {
    /// Reads a tree.
    pub(super) fn read(value: &Value) -> Result<Self, FrameError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Form {
            version: Value,
            nodes: Vec<Value>,
        }
        if is_deeper(value, MAX_DEPTH) {
            return Err(invalid(format!(
                "its maps and lists lie more than {MAX_DEPTH} deep in each other: compute parts in nodes of their own"
            )));
        }
        // The version first: of another one, nothing else is known.
        let version = member(value, "version");
        if let Some(version) = version.filter(|version| version.as_u64() != Some(u64::from(VERSION))) {
            return Err(FrameError::TreeVersion {
                found: version.to_string(),
                known: VERSION,
            });
        }
        let form: Form = members(value.clone()).map_err(invalid)?;
        drop(form.version);
        if form.nodes.is_empty() {
            return Err(invalid("there are no nodes".to_owned()));
        }
        let nodes = form.nodes.into_iter().enumerate();
        let nodes = nodes.map(|(index, node)| {
            Node::read(node).map_err(|message| invalid_at(format!("node {index}"), message))
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
        })
    }
}

impl Node {
    fn read(value: Value) -> Result<Self, String> {
        let Value::Map(mut entries) = value else {
            return Err(format!("a node is a map with the member `op`, not {value}"));
        };
        let Some(place) = entries.iter().position(|(key, _)| key.as_str() == Some("op")) else {
            return Err("the member `op` is missing".to_owned());
        };
        let (_, op) = entries.remove(place);
        let rest = Value::Map(entries);
        match op.as_str().unwrap_or_default() {
            "table" => members(rest).map(Self::Table),
            "sql" => members(rest).map(Self::Sql),
            "project" => members(rest).map(Self::Project),
            "filter" => members(rest).map(Self::Filter),
            "aggregate" => members(rest).map(Self::Aggregate),
            "join" => members(rest).map(Self::Join),
            "sort" => members(rest).map(Self::Sort),
            "limit" => members(rest).map(Self::Limit),
            "union" => members(rest).map(Self::Union),
            "distinct" => members(rest).map(Self::Distinct),
            "number" => members(rest).map(Self::Number),
            "unnest" => members(rest).map(Self::Unnest),
            "python" => members(rest).map(Self::Python),
            other => {
                let near = nearest(other, OPS.into_iter());
                let near = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                return Err(format!("there is no `op` {op}{near}"));
            }
        }
        .map_err(|message| format!("({}), {message}", op.as_str().unwrap_or_default()))
    }

    /// The name of the operation.
    pub(super) const fn op(&self) -> &'static str {
        match self {
            Self::Table(_) => "table",
            Self::Sql(_) => "sql",
            Self::Project(_) => "project",
            Self::Filter(_) => "filter",
            Self::Aggregate(_) => "aggregate",
            Self::Join(_) => "join",
            Self::Sort(_) => "sort",
            Self::Limit(_) => "limit",
            Self::Union(_) => "union",
            Self::Distinct(_) => "distinct",
            Self::Number(_) => "number",
            Self::Unnest(_) => "unnest",
            Self::Python(_) => "python",
        }
    }
}

/// Which member is there says what an expression is, in whatever order members are written.
impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let kinds = KINDS.into_iter().filter(|kind| member(&value, kind).is_some());
        let kinds: Vec<&str> = kinds.collect();
        let [kind] = kinds.as_slice() else {
            return Err(D::Error::custom(format!(
                "an expression is a map with one of {}, not {value}",
                KINDS.join(", ")
            )));
        };
        match *kind {
            "col" => members(value).map(Self::Col),
            "lit" => members(value).map(Self::Lit),
            "call" => members(value).map(Self::Call),
            "cast" => members(value).map(|form| Self::Cast(Box::new(form))),
            "case" => members(value).map(|form| Self::Case(Box::new(form))),
            "in" => members(value).map(|form| Self::In(Box::new(form))),
            "agg" => members(value).map(|form| Self::Agg(Box::new(form))),
            _ => members(value).map(|form| Self::Window(Box::new(form))),
        }
        .map_err(D::Error::custom)
    }
}

fn is_deeper(value: &Value, limit: usize) -> bool {
    let mut open = vec![(value, 1)];
    while let Some((value, depth)) = open.pop() {
        if depth > limit {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Map(entries) => open.extend(entries.iter().map(|(_, item)| (item, depth + 1))),
            _ => {}
        }
    }
    false
}

fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let entries = value.as_map()?;
    let entry = entries.iter().find(|(key, _)| key.as_str() == Some(name));
    entry.map(|(_, value)| value)
}

/// Reads the members of a map; errors begin with the place in it.
fn members<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| match error.path().to_string() {
        path if path == "." => error.into_inner().to_string(),
        path => format!("{path}: {}", error.into_inner()),
    })
}
