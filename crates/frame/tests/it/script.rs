//! Statements that define names, and several of them: a session is played as the gateway keeps it.

use std::path::{Path, PathBuf};

use millstream_frame::{
    CatalogChange, FrameError, PlannerOptions, ResultFormat, SessionCatalog, SqlOptions, SqlRequest,
    TableSource, plan_sql, run_statements,
};
use serde_json::{Value, json};

use crate::cluster::{Rows, distributed, rows, run_planned};

const FLIGHTS: &str = "carrier,dep_delay,distance\nUA,3,100\nAA,NA,200\nUA,5,300\n";

/// What a session's statements leave, and where.
struct Session {
    folder: tempfile::TempDir,
    catalog: SessionCatalog,
    options: PlannerOptions,
    /// What the last statement answers, if it is no query.
    said: Value,
}

impl Session {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flights.csv"), FLIGHTS).unwrap();
        let options = PlannerOptions {
            roots: Some(vec![folder.path().to_owned()]),
            writable_roots: Some(vec![folder.path().to_owned()]),
            ..distributed(2)
        };
        Self {
            folder,
            catalog: SessionCatalog::default(),
            options,
            said: Value::Null,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `@` in a text is the folder.
    fn request(&self, text: &str) -> SqlRequest {
        SqlRequest {
            query: text.replace('@', self.folder.path().to_str().unwrap()),
            catalog: self.catalog.clone(),
            options: SqlOptions {
                format: Some(ResultFormat::Json),
                ..SqlOptions::default()
            },
            ..SqlRequest::default()
        }
    }

    /// Runs a text; the rows of its last query.
    async fn run(&mut self, text: &str) -> Result<Rows, FrameError> {
        let mut request = self.request(text);
        let mut last = Rows::new();
        loop {
            let step = run_statements(&request, &self.options).await?;
            self.commit(step.changes);
            if let Some(answer) = step.answer {
                self.said = serde_json::from_slice(&answer).unwrap();
            }
            let Some(next) = step.next else {
                return Ok(last);
            };
            request.catalog = self.catalog.clone();
            let query = SqlRequest {
                statement: Some(next.statement),
                into: next.into,
                ..request.clone()
            };
            last = rows(&run_planned(&plan_sql(&query, &self.options).await?).await?);
            self.commit(next.then);
            request.catalog = self.catalog.clone();
            request.statement = Some(next.statement + 1);
            if next.statement + 1 == step.count {
                return Ok(last);
            }
        }
    }

    fn commit(&mut self, changes: Vec<CatalogChange>) {
        for change in changes {
            match change {
                CatalogChange::Table { name, table, .. } => {
                    self.catalog.tables.insert(name, table);
                }
                CatalogChange::View { name, query, .. } => {
                    self.catalog.views.insert(name, query);
                }
                CatalogChange::Drop { name } => {
                    self.catalog.tables.remove(&name);
                    self.catalog.views.remove(&name);
                }
            }
        }
    }

    async fn fail(&mut self, text: &str) -> FrameError {
        self.run(text).await.unwrap_err()
    }
}

fn texts(rows: &[&[&str]]) -> Rows {
    let cell = |text: &&str| (*text != "NULL").then(|| (*text).to_owned());
    rows.iter().map(|row| row.iter().map(cell).collect()).collect()
}

const EXTERNAL: &str = "CREATE EXTERNAL TABLE flights STORED AS CSV LOCATION '@/flights.csv'";

#[tokio::test]
async fn tables_and_views_are_there_for_later_statements() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    assert_eq!(session.said, json!([{"result": "table 'flights' is made"}]));
    session
        .run("CREATE VIEW united AS SELECT dep_delay AS delay, distance FROM Flights WHERE carrier = 'UA'")
        .await
        .unwrap();
    session
        .run("CREATE VIEW far AS SELECT * FROM united WHERE distance > 200")
        .await
        .unwrap();
    let all = session
        .run("SELECT sum(delay), sum(distance) FROM united")
        .await
        .unwrap();
    assert_eq!(all, texts(&[&["8", "400"]]));
    let far = session
        .run("SELECT f.delay, u.delay FROM far f CROSS JOIN UNITED u ORDER BY 2")
        .await
        .unwrap();
    assert_eq!(far, texts(&[&["5", "3"], &["5", "5"]]));
}

#[tokio::test]
async fn a_requests_own_tables_come_first_but_not_in_views() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    session
        .run("CREATE VIEW v AS SELECT count(*) AS n FROM flights")
        .await
        .unwrap();
    std::fs::write(session.path("one.csv"), "carrier\nXX\n").unwrap();
    let mut request = session.request("SELECT carrier, n FROM flights CROSS JOIN v");
    let one = TableSource::path(session.path("one.csv").to_str().unwrap());
    request.tables = [("flights".to_owned(), one)].into();
    let planned = plan_sql(&request, &session.options).await.unwrap();
    assert_eq!(
        rows(&run_planned(&planned).await.unwrap()),
        texts(&[&["XX", "3"]])
    );
}

#[tokio::test]
async fn options_and_columns_say_how_a_file_is_read() {
    let mut session = Session::new();
    std::fs::write(session.path("raw"), "1|x|2024-01-02\n2|-|2024-01-03\n").unwrap();
    session
        .run(
            "CREATE EXTERNAL TABLE t (Id VARCHAR, what TEXT, day TEXT) STORED AS CSV LOCATION '@/raw'
             OPTIONS ('format.delimiter' '|', header false, null_value '-')",
        )
        .await
        .unwrap();
    let read = session
        .run("SELECT id || 'a', what, day || '' FROM t ORDER BY id")
        .await
        .unwrap();
    assert_eq!(
        read,
        texts(&[&["1a", "x", "2024-01-02"], &["2a", "NULL", "2024-01-03"]])
    );
    session.run("DESCRIBE t").await.unwrap();
    let columns: Vec<_> = session
        .said
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["column"])
        .collect();
    assert_eq!(columns, ["id", "what", "day"]);
    for (statement, part) in [
        (
            "CREATE EXTERNAL TABLE u STORED AS CSV LOCATION '@/raw' OPTIONS (delimitr '|')",
            "did you mean 'delimiter'?",
        ),
        (
            "CREATE EXTERNAL TABLE u STORED AS XLS LOCATION '@/raw'",
            "STORED AS XLS",
        ),
        (
            "CREATE EXTERNAL TABLE u (a STRUCT<b INT>) STORED AS CSV LOCATION '@/raw'",
            "BIGINT",
        ),
        (
            "CREATE EXTERNAL TABLE u STORED AS CSV LOCATION '@/raw' PARTITIONED BY (year)",
            "year=…",
        ),
    ] {
        let error = session.fail(statement).await;
        assert!(
            error.code() == "table_invalid" && error.to_string().contains(part),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_a_table_or_view_reads_is_looked_at_when_it_is_made() {
    let mut session = Session::new();
    let missing = session
        .fail("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '@/none.csv'")
        .await;
    assert_eq!(missing.code(), "file_not_found");
    let outside = session
        .fail("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'")
        .await;
    assert_eq!(outside.code(), "outside_roots");
    session.run(EXTERNAL).await.unwrap();
    let column = session
        .fail("CREATE VIEW v AS\n  SELECT distanc FROM flights")
        .await;
    assert_eq!(column.code(), "sql_unknown_column");
    assert!(
        column
            .to_string()
            .contains("at line 2, column 10; did you mean 'distance'?"),
        "{column}"
    );
    assert!(
        session
            .fail("CREATE VIEW v AS SELECT $1 + 1")
            .await
            .is_user_error()
    );
    assert!(session.catalog.views.is_empty());
}

#[tokio::test]
async fn names_are_taken_once_and_replaced_or_kept_if_that_is_said() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    let taken = session.fail(EXTERNAL).await;
    assert_eq!(taken.code(), "sql_name_taken");
    assert!(
        taken
            .to_string()
            .contains("table 'flights' already at line 1, column 23"),
        "{taken}"
    );
    assert_eq!(
        session
            .fail("CREATE OR REPLACE VIEW flights AS SELECT 1")
            .await
            .code(),
        "sql_name_taken"
    );
    session
        .run(&EXTERNAL.replace("TABLE flights", "TABLE IF NOT EXISTS FLIGHTS"))
        .await
        .unwrap();
    assert_eq!(
        session.said,
        json!([{"result": "there is a table 'flights' already"}])
    );
    session.run("CREATE VIEW v AS SELECT 1 AS n").await.unwrap();
    assert_eq!(
        session.fail("CREATE VIEW V AS SELECT 2 AS n").await.code(),
        "sql_name_taken"
    );
    session
        .run("CREATE OR REPLACE VIEW v AS SELECT 2 AS n")
        .await
        .unwrap();
    assert_eq!(session.run("SELECT * FROM v").await.unwrap(), texts(&[&["2"]]));
}

#[tokio::test]
async fn a_view_cannot_read_itself() {
    let mut session = Session::new();
    session.run("CREATE VIEW a AS SELECT 1 AS n").await.unwrap();
    session.run("CREATE VIEW b AS SELECT * FROM a").await.unwrap();
    for query in ["SELECT * FROM a", "SELECT * FROM b"] {
        let error = session
            .fail(&format!("CREATE OR REPLACE VIEW a AS {query}"))
            .await;
        assert!(error.to_string().contains("the view 'a' reads itself"), "{error}");
    }
}

#[tokio::test]
async fn dropped_names_are_gone_and_views_of_them_say_so() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    session
        .run("CREATE VIEW v AS SELECT carrier FROM flights")
        .await
        .unwrap();
    let wrong = session.fail("DROP VIEW flights").await;
    assert!(wrong.to_string().contains("DROP TABLE flights"), "{wrong}");
    session.run("DROP TABLE flights").await.unwrap();
    assert!(session.path("flights.csv").exists());
    let error = session.fail("SELECT 1 FROM v").await;
    assert_eq!(error.code(), "sql_unknown_table");
    assert_eq!(
        error.to_string(),
        "view 'v' cannot be read any more: table 'flights' not found"
    );
    assert_eq!(
        session.fail("DROP TABLE flights").await.code(),
        "sql_unknown_table"
    );
    session.run("DROP TABLE IF EXISTS flights").await.unwrap();
    session.run("DROP VIEW v").await.unwrap();
    assert!(session.catalog.is_empty());
}

#[tokio::test]
async fn names_and_columns_are_shown() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    session
        .run("CREATE VIEW Delays AS SELECT dep_delay / 2.5 AS d FROM flights")
        .await
        .unwrap();
    session.run("SHOW TABLES").await.unwrap();
    let path = session.path("flights.csv");
    assert_eq!(
        session.said,
        json!([
            {"name": "delays", "kind": "view", "definition": "SELECT dep_delay / 2.5 AS d FROM flights"},
            {"name": "flights", "kind": "table", "definition": path},
        ])
    );
    let expected = json!([
        {"column": "carrier", "type": "VARCHAR", "nullable": true},
        {"column": "dep_delay", "type": "BIGINT", "nullable": true},
        {"column": "distance", "type": "BIGINT", "nullable": true},
    ]);
    for statement in [
        "SHOW COLUMNS FROM flights",
        "DESCRIBE flights",
        "DESC flights",
        "DESCRIBE '@/flights.csv'",
    ] {
        session.run(statement).await.unwrap();
        assert_eq!(session.said, expected, "{statement}");
    }
    let error = session.fail("DESCRIBE flihgts").await;
    assert!(error.to_string().contains("did you mean 'flights'?"), "{error}");
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[tokio::test]
async fn a_table_is_made_of_a_query_and_rows_are_added_to_it() {
    let mut session = Session::new();
    session.run(EXTERNAL).await.unwrap();
    session
        .run("CREATE TABLE far STORED AS PARQUET LOCATION '@/far' AS SELECT carrier, distance FROM flights WHERE distance > $1 - $1 + 150")
        .await
        .unwrap_err();
    session
        .run("CREATE TABLE far STORED AS PARQUET LOCATION '@/far' AS SELECT carrier, distance FROM flights WHERE distance > 150")
        .await
        .unwrap();
    let wanted = texts(&[&["AA", "200"], &["UA", "300"]]);
    assert_eq!(session.run("SELECT * FROM far ORDER BY 2").await.unwrap(), wanted);
    // Another order of columns, another type, and a column that is left out.
    session
        .run("INSERT INTO far (distance, carrier) SELECT 7.0, 'LH'")
        .await
        .unwrap();
    session
        .run("INSERT INTO far (carrier) VALUES ('BA')")
        .await
        .unwrap();
    let read = session
        .run("SELECT carrier, distance FROM far ORDER BY 2")
        .await
        .unwrap();
    assert_eq!(
        read,
        texts(&[&["LH", "7"], &["AA", "200"], &["UA", "300"], &["BA", "NULL"]])
    );
    assert_eq!(
        session.fail("CREATE TABLE far AS SELECT 1").await.code(),
        "sql_name_taken"
    );
    let error = session.fail("INSERT INTO flights VALUES ('LH', 1, 2)").await;
    assert!(
        error
            .to_string()
            .contains("'flights': rows can be added to a folder only"),
        "{error}"
    );
}

#[tokio::test]
async fn a_table_without_a_place_is_kept_below_the_first_writable_root() {
    let mut session = Session::new();
    session
        .run("CREATE TABLE t AS SELECT 1 AS n; INSERT INTO t VALUES (2)")
        .await
        .unwrap();
    assert_eq!(
        session.run("SELECT sum(n) FROM t").await.unwrap(),
        texts(&[&["3"]])
    );
    assert_eq!(files_below(&session.path("tables")), 2);
    session.options.writable_roots = None;
    let error = session.fail("CREATE TABLE u AS SELECT 1 AS n").await;
    assert!(error.to_string().contains("LOCATION '/folder'"), "{error}");
}

#[tokio::test]
async fn rows_that_are_added_find_the_folders_of_their_table() {
    let mut session = Session::new();
    session
        .run("COPY (SELECT 2023 AS year, 1 AS n) TO '@/by_year' STORED AS CSV PARTITIONED BY (year)")
        .await
        .unwrap();
    session
        .run("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '@/by_year' PARTITIONED BY (year)")
        .await
        .unwrap();
    session
        .run("INSERT INTO t (n, year) VALUES (5, 2024), (6, 2023)")
        .await
        .unwrap();
    assert_eq!(files_below(&session.path("by_year/year=2024")), 1);
    let read = session
        .run("SELECT year, sum(n) FROM t GROUP BY year ORDER BY year")
        .await
        .unwrap();
    assert_eq!(read, texts(&[&["2023", "7"], &["2024", "5"]]));
}

#[tokio::test]
async fn statements_run_in_order_and_the_last_one_answers() {
    let mut session = Session::new();
    let read = session
        .run(&format!(
            "{EXTERNAL}; -- a comment; with a semicolon\n;CREATE VIEW v AS SELECT ';' AS s FROM flights;\nSELECT count(s) FROM v;"
        ))
        .await
        .unwrap();
    assert_eq!(read, texts(&[&["3"]]));
    session.run("SELECT 1; SHOW TABLES").await.unwrap();
    assert_eq!(session.said.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_error_says_which_statement_and_where_in_the_whole_text() {
    let mut session = Session::new();
    for (text, expected) in [
        (
            "SELECT 1;\nSELECT x FORM y z",
            "statement 2: syntax error at line 2, column 15: ",
        ),
        (
            "CREATE VIEW a AS SELECT 1 AS n;\nSELECT\n  m FROM a",
            "statement 2: column 'm' not found at line 3, column 3",
        ),
        (
            "SELECT 1;\n\n  CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '@/none'",
            "statement 2 at line 3, column 3: '",
        ),
        (
            "SELECT 1;\nTRUNCATE TABLE t",
            "statement 2 at line 2, column 1: TRUNCATE is not supported",
        ),
    ] {
        let error = Session::new().fail(text).await;
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(error.is_user_error());
    }
    // What was done before stays.
    session
        .run("CREATE VIEW a AS SELECT 1 AS n; SELECT m FROM a")
        .await
        .unwrap_err();
    assert_eq!(session.run("SELECT n FROM a").await.unwrap(), texts(&[&["1"]]));
}
