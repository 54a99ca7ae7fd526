//! The statements of a text, with their places in it.

use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Token;

use super::problem;
use crate::error::{FrameError, Position};

/// A statement and where it begins.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) statement: Statement,
    pub(crate) position: Position,
}

/// All statements of a text.
pub(crate) fn parse(text: &str) -> Result<Vec<Placed>, FrameError> {
    let mut parser = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .build()
        .map_err(|error| problem::explain_unparsed(&error))?;
    let mut found = Vec::new();
    while let Some(position) = next_start(&mut parser) {
        let statement = parser.parse_statement();
        let placed = statement
            .map_err(|error| problem::explain_unparsed(&error))
            .and_then(|statement| {
                end_of_statement(&mut parser)?;
                Ok(Placed { statement, position })
            });
        // Of the first it would say nothing: whether there are more is not known yet.
        let number = found.len() + 1;
        found.push(placed.map_err(|error| {
            if number == 1 {
                error
            } else {
                error.in_statement(number, position)
            }
        })?);
    }
    if found.is_empty() {
        return Err(FrameError::Syntax {
            message: "there is no statement".to_owned(),
            position: None,
        });
    }
    Ok(found)
}

/// The statement of a text that is meant: the only one, or the one of this index.
pub(crate) fn parse_one(text: &str, index: Option<u32>) -> Result<Statement, FrameError> {
    let all = parse(text)?;
    let unsupported = |statement: &str| FrameError::UnsupportedStatement {
        statement: statement.to_owned(),
    };
    let index = match index {
        Some(index) => index as usize,
        None if all.len() > 1 => return Err(unsupported("more than one statement")),
        None => 0,
    };
    let meant = all.into_iter().nth(index);
    let meant = meant.ok_or_else(|| unsupported("a statement that the text does not have"))?;
    Ok(meant.statement)
}

/// Where the next statement begins, past empty ones.
fn next_start(parser: &mut DFParser<'_>) -> Option<Position> {
    while parser.parser.consume_token(&Token::SemiColon) {}
    let token = parser.parser.peek_token();
    let start = token.span.start;
    (token.token != Token::EOF).then_some(Position {
        line: start.line,
        column: start.column,
    })
}

fn end_of_statement(parser: &mut DFParser<'_>) -> Result<(), FrameError> {
    let token = parser.parser.peek_token();
    if matches!(token.token, Token::SemiColon | Token::EOF) {
        return Ok(());
    }
    Err(FrameError::Syntax {
        message: format!("Expected: end of statement, found: {}", token.token),
        position: Some(Position {
            line: token.span.start.line,
            column: token.span.start.column,
        }),
    })
}
