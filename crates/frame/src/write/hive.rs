//! Folders named after the values of their rows: `year=2024/month=7`.

use std::fmt::Write as _;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};

/// What stands for a missing value.
const MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

/// The folder of one row, by the values of these columns; empty without columns.
pub(super) fn folder(batch: &RecordBatch, columns: &[usize], row: usize) -> Result<String, ArrowError> {
    let schema = batch.schema();
    let mut folder = String::new();
    for column in columns {
        if !folder.is_empty() {
            folder.push('/');
        }
        escape(schema.field(*column).name(), &mut folder);
        folder.push('=');
        let values = batch.column(*column);
        if values.is_null(row) {
            folder.push_str(MISSING);
        } else {
            let formatter = ArrayFormatter::try_new(values, &FormatOptions::default())?;
            escape(&formatter.value(row).try_to_string()?, &mut folder);
        }
    }
    Ok(folder)
}

/// Percent-encodes what cannot be in a folder's name or would be read as something else, as Hive does.
fn escape(text: &str, to: &mut String) {
    for character in text.chars() {
        let is_special = character.is_control() || "\"#%'*/:=?\\{}[]^".contains(character);
        // A name of dots alone means a folder that is there already.
        let is_dots = character == '.' && text.bytes().all(|byte| byte == b'.');
        if is_special || is_dots {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                // Writing to a string does not fail.
                let _ = write!(to, "%{byte:02X}");
            }
        } else {
            to.push(character);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn folders_are_named_after_columns_and_values() {
        let year: ArrayRef = Arc::new(Int64Array::from(vec![Some(2024), None]));
        let place: ArrayRef = Arc::new(StringArray::from(vec!["a/b=c 100%", ".."]));
        let batch = RecordBatch::try_from_iter([("year", year), ("place", place)]).unwrap();
        assert_eq!(
            folder(&batch, &[0, 1], 0).unwrap(),
            "year=2024/place=a%2Fb%3Dc 100%25"
        );
        assert_eq!(
            folder(&batch, &[0, 1], 1).unwrap(),
            "year=__HIVE_DEFAULT_PARTITION__/place=%2E%2E"
        );
        assert_eq!(folder(&batch, &[], 0).unwrap(), "");
    }
}
