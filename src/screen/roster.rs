//! Lists of persons: rows with a name and a number that names its bearer.
//!
//! Such lists leak most, and a number with a slip in it, which no check digit proves, still names
//! its bearer there: the heading of its column says what it is.

use super::personal::Finding;
use super::rules::ListRules;

/// Family names that make two to four letters a name where no heading says so.
const FAMILY_NAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤欧温赖丘侯";
/// Cells of a row that are looked at.
const CELLS_MAX: usize = 64;

/// A list of persons in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roster {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rows: usize,
    /// The first letter of the first name.
    pub(super) first: char,
}

/// Where a heading says that names and numbers stand.
struct Heading {
    name: usize,
    numbers: Vec<usize>,
}

/// Returns the lists in `text`, whose numbers `found` are known already.
pub(super) fn rosters(text: &str, found: &[Finding], rules: &ListRules) -> Vec<Roster> {
    let has_heading = rules
        .number_headers
        .iter()
        .any(|word| text.contains(word.as_str()));
    if !has_heading && found.len() < rules.rows_min {
        return Vec::new();
    }
    let mut rosters = Vec::new();
    let mut heading: Option<Heading> = None;
    let mut list: Option<Roster> = None;
    let mut end_list = |list: &mut Option<Roster>| {
        rosters.extend(list.take().filter(|list| list.rows >= rules.rows_min));
    };
    let mut found = found.iter().peekable();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        while found.next_if(|it| it.start < start).is_some() {}
        let has_number = found.peek().is_some_and(|it| it.start < end);
        let cells = cells(line);
        if let Some(new) = heading_of(&cells, rules).filter(|_| !has_number) {
            end_list(&mut list);
            heading = Some(new);
        } else if let Some(name) = person(&cells, heading.as_ref(), has_number, rules) {
            let list = list.get_or_insert(Roster {
                start,
                end,
                rows: 0,
                first: name,
            });
            (list.end, list.rows) = (end, list.rows + 1);
        } else if !line.trim().is_empty() {
            end_list(&mut list);
        }
        start += line.len();
    }
    end_list(&mut list);
    rosters
}

fn cells(line: &str) -> Vec<&str> {
    let divider: fn(char) -> bool = if line.contains('\t') {
        |letter| letter == '\t'
    } else {
        |letter| matches!(letter, ',' | '，' | '|' | '；' | ';' | ' ' | '\u{3000}')
    };
    line.trim_end_matches(['\n', '\r'])
        .split(divider)
        .map(str::trim)
        .take(CELLS_MAX)
        .collect()
}

fn heading_of(cells: &[&str], rules: &ListRules) -> Option<Heading> {
    let names =
        |words: &[String], cell: &str| words.iter().any(|word| cell.contains(word.as_str()));
    if cells.len() < 2 {
        return None;
    }
    let name = cells
        .iter()
        .position(|cell| names(&rules.name_headers, cell))?;
    let numbers: Vec<usize> = cells
        .iter()
        .enumerate()
        .filter(|(place, cell)| *place != name && names(&rules.number_headers, cell))
        .map(|(place, _)| place)
        .collect();
    (!numbers.is_empty()).then_some(Heading { name, numbers })
}

/// Returns the first letter of the name of a row that names a person with a number.
fn person(
    cells: &[&str],
    heading: Option<&Heading>,
    has_number: bool,
    rules: &ListRules,
) -> Option<char> {
    if let Some(heading) = heading {
        let name = cells
            .get(heading.name)
            .copied()
            .filter(|cell| is_name(cell));
        let numbered = heading.numbers.iter().any(|place| {
            cells
                .get(*place)
                .is_some_and(|cell| is_number(cell, rules.digits_min))
        });
        if let Some(name) = name.filter(|_| numbered || has_number) {
            return name.chars().next();
        }
    }
    let is_sure =
        |cell: &&str| is_name(cell) && cell.starts_with(|first: char| FAMILY_NAMES.contains(first));
    let name = cells.iter().copied().find(is_sure).filter(|_| has_number)?;
    name.chars().next()
}

/// Whether a cell is a name in full; 张* and 张某 are none.
fn is_name(cell: &str) -> bool {
    let letters = cell.chars().filter(|letter| *letter != '·');
    let is_han = |letter: char| ('\u{3400}'..='\u{9fff}').contains(&letter) || letter > '\u{20000}';
    (2..=4).contains(&letters.clone().count())
        && letters.clone().all(is_han)
        && !cell.contains(['某', '×', '＊'])
}

/// Whether a cell holds a number with none of its digits hidden.
fn is_number(cell: &str, digits_min: usize) -> bool {
    let digits = cell
        .chars()
        .filter(|letter| letter.is_ascii_digit() || ('０'..='９').contains(letter));
    digits.count() >= digits_min && !cell.contains(['*', '＊', '×', '×', '●'])
}
