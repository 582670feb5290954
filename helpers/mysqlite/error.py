"""MySQL's own errors, with MySQL's numbers and words.

>>> raise failure(1054, "c.nmae", "field list")
helpers.mysqlite.error.MySqlError: Unknown column 'c.nmae' in 'field list'

Only the errors a read-only statement can meet are here; `1235` also stands for what MySQL has and this engine
lacks.
"""

MESSAGES = {
    1044: "Access denied for user to database '{}'",
    1049: "Unknown database '{}'",
    1051: "Unknown table '{}'",
    1052: "Column '{}' in {} is ambiguous",
    1054: "Unknown column '{}' in '{}'",
    1055: (
        "Expression #{} of {} is not in GROUP BY clause and contains nonaggregated column '{}' which is not "
        "functionally dependent on columns in GROUP BY clause; this is incompatible with "
        "sql_mode=only_full_group_by"
    ),
    1056: "Can't group on '{}'",
    1060: "Duplicate column name '{}'",
    1064: (
        "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server "
        "version for the right syntax to use near '{}' at line {}"
    ),
    1065: "Query was empty",
    1066: "Not unique table/alias: '{}'",
    1096: "No tables used",
    1111: "Invalid use of group function",
    1139: "Got error '{}' from regexp",
    1140: (
        "In aggregated query without GROUP BY, expression #{} of {} contains nonaggregated column '{}'; "
        "this is incompatible with sql_mode=only_full_group_by"
    ),
    1146: "Table '{}.{}' doesn't exist",
    1222: "The used SELECT statements have a different number of columns",
    1235: "This version of MySQL doesn't yet support '{}'",
    1241: "Operand should contain {} column(s)",
    1242: "Subquery returns more than 1 row",
    1247: "Reference '{}' not supported ({})",
    1248: "Every derived table must have its own alias",
    1250: "Table '{}' from one of the SELECTs cannot be used in {}",
    1305: "FUNCTION {}.{} does not exist",
    1327: "Undeclared variable: {}",
    1353: "In definition of view, derived table or common table expression, SELECT list and column names "
    "list have different column counts",
    1525: "Incorrect {} value: '{}'",
    1582: "Incorrect parameter count in the call to native function '{}'",
    1630: (
        "FUNCTION {}.{} does not exist. Check the 'Function Name Parsing and Resolution' section in the "
        "Reference Manual"
    ),
    1690: "{} value is out of range in '{}'",
    3024: "Query execution was interrupted, maximum statement execution time exceeded",
    3029: (
        "Expression #{} of ORDER BY contains aggregate function and applies to the result of a "
        "non-aggregated query"
    ),
    3065: (
        "Expression #{} of ORDER BY clause is not in SELECT list, references column '{}' which is not in "
        "SELECT list; this is incompatible with DISTINCT"
    ),
    3577: "In recursive query block of Recursive Common Table Expression '{}', the recursive table must be "
    "referenced only once, and not in any subquery",
    3579: "Window name '{}' is not defined.",
    3593: "You cannot use the window function '{}' in this context.'",
    3594: "You cannot use the alias '{}' of an expression containing a window function in this context.'",
}


class MySqlError(Exception):
    """Carry MySQL's error number `code` and its `message`."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def failure(code: int, *details: object) -> MySqlError:
    """Build the error of that number, its message filled in with `details`."""
    return MySqlError(code, MESSAGES[code].format(*details))
