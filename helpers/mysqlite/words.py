"""Words that mean something to MySQL 8: reserved ones, and functions with rules of their own.

>>> "rank" in RESERVED, "count" in TIGHT
(True, True)

From the reference manual and the server's grammar, sql_yacc.yy; nothing here is derived at run time.
"""

# https://dev.mysql.com/doc/refman/8.0/en/keywords.html, the words marked (R)
RESERVED = frozenset(
    """accessible add all alter analyze and as asc asensitive before between bigint binary blob both by
    call cascade case change char character check collate column condition constraint continue convert
    create cross cube cume_dist current_date current_time current_timestamp current_user cursor database
    databases day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete
    dense_rank desc describe deterministic distinct distinctrow div double drop dual each else elseif
    empty enclosed escaped except exists exit explain false fetch first_value float float4 float8 for
    force foreign from fulltext function generated get grant group grouping groups having high_priority
    hour_microsecond hour_minute hour_second if ignore in index infile inner inout insensitive insert
    int int1 int2 int3 int4 int8 integer intersect interval into io_after_gtids io_before_gtids is
    iterate join json_table key keys kill lag last_value lateral lead leading leave left like limit
    linear lines load localtime localtimestamp lock long longblob longtext loop low_priority master_bind
    master_ssl_verify_server_cert match maxvalue mediumblob mediumint mediumtext middleint
    minute_microsecond minute_second mod modifies natural not no_write_to_binlog nth_value ntile null
    numeric of on optimize optimizer_costs option optionally or order out outer outfile over partition
    percent_rank precision primary procedure purge range rank read reads read_write real recursive
    references regexp release rename repeat replace require resignal restrict return revoke right rlike
    row rows row_number schema schemas second_microsecond select sensitive separator set show signal
    smallint spatial specific sql sqlexception sqlstate sqlwarning sql_big_result sql_calc_found_rows
    sql_small_result ssl starting stored straight_join system table terminated then tinyblob tinyint
    tinytext to trailing trigger true undo union unique unlock unsigned update usage use using utc_date
    utc_time utc_timestamp values varbinary varchar varcharacter varying virtual when where while window
    with write xor year_month zerofill""".split()
)
# Reserved words that are functions all the same
CALLABLE = frozenset(
    """char current_date current_time current_timestamp current_user database cume_dist dense_rank
    first_value grouping if insert interval lag last_value lead left localtime localtimestamp mod
    nth_value ntile percent_rank rank repeat replace right row_number schema utc_date utc_time
    utc_timestamp values""".split()
)
# Functions that need their parenthesis at once, without a blank:
# https://dev.mysql.com/doc/refman/8.0/en/function-resolution.html
TIGHT = frozenset(
    """adddate bit_and bit_or bit_xor cast count curdate curtime date_add date_sub extract group_concat
    max mid min now position session_user std stddev stddev_pop stddev_samp subdate substr substring sum
    sysdate system_user trim variance var_pop var_samp""".split()
)
# Functions with a rule in the grammar: a wrong number of arguments is a syntax error there
GRAMMATICAL = frozenset(
    """adddate ascii char coalesce curdate curtime date date_add date_sub day extract format hour if
    insert interval left log microsecond minute mod month now position quarter repeat replace reverse
    right second subdate substring time timestamp timestampadd timestampdiff trim truncate week
    year""".split()
)
# First words of the types that CAST and CONVERT take
CAST_TYPES = frozenset(
    """binary char character nchar date datetime time decimal dec signed unsigned json year float real
    double""".split()
)
# Functions of MySQL 8 that are not emulated:
# https://dev.mysql.com/doc/refman/8.0/en/built-in-function-reference.html
LACKING = frozenset(
    """aes_decrypt aes_encrypt benchmark bin_to_uuid bit_length charset coercibility collation compress
    connection_id convert_tz crc32 current_role current_user database default found_rows get_format
    get_lock grouping icu_version inet_aton inet_ntoa inet6_aton inet6_ntoa is_free_lock is_ipv4 is_ipv6
    is_used_lock is_uuid json_array json_array_append json_array_insert json_arrayagg json_contains
    json_contains_path json_depth json_extract json_insert json_keys json_length json_merge
    json_merge_patch json_merge_preserve json_object json_objectagg json_overlaps json_pretty json_quote
    json_remove json_replace json_schema_valid json_search json_set json_storage_size json_table
    json_type json_unquote json_valid json_value last_insert_id load_file make_set master_pos_wait match
    name_const period_add period_diff random_bytes release_all_locks release_lock row_count schema
    session_user sleep st_area st_distance statement_digest system_user to_base64 from_base64 uncompress
    user uuid uuid_short uuid_to_bin validate_password_strength values version weight_string export_set
    maketime sec_to_time time_to_sec timediff addtime subtime time_format extractvalue updatexml
    roles_graphml ps_current_thread_id format_bytes format_pico_time""".split()
)
