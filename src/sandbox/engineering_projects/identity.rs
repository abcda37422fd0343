//! How the engineering-projects platform presents itself: its name and its groups as columns.
//!
//! Owns the list of groups: projects P0–P11, land L1–L3, mining M1–M4 and six kinds of credit
//! information. Never checks an item; see [`super::item`].

use crate::sandbox::desk::Identity;
use crate::sandbox::look::{Charset, Column, Look};

/// Name, look and columns.
pub(super) const IDENTITY: Identity = Identity {
    id: "engineering-projects",
    title: "工程建设领域双信息公开平台",
    look: Look {
        style: concat!(
            include_str!("../page/base.css"),
            include_str!("../page/engineering-projects.css")
        ),
        motto: "项目信息 · 信用信息",
        as_table: true,
        charset: Charset::Utf8,
        columns: COLUMNS,
    },
    has_sessions: false,
    reviews: false,
};

const PROJECTS: &str = "项目信息";
const LAND: &str = "土地";
const MINING: &str = "矿业权";
const CREDIT: &str = "信用信息";

const COLUMNS: &[Column] = &[
    column("P0", "P0 项目概要", PROJECTS),
    column("P1", "P1 项目审批", PROJECTS),
    column("P2", "P2 核准备案", PROJECTS),
    column("P3", "P3 基本信息", PROJECTS),
    column("P4", "P4 招标投标", PROJECTS),
    column("P5", "P5 征地拆迁", PROJECTS),
    column("P6", "P6 重大设计变更", PROJECTS),
    column("P7", "P7 施工管理", PROJECTS),
    column("P8", "P8 合同履约", PROJECTS),
    column("P9", "P9 质量安全", PROJECTS),
    column("P10", "P10 资金管理", PROJECTS),
    column("P11", "P11 竣工验收", PROJECTS),
    column("L1", "L1 土地出让", LAND),
    column("L2", "L2 出让结果", LAND),
    column("L3", "L3 建设用地审批", LAND),
    column("M1", "M1 探矿权审批", MINING),
    column("M2", "M2 探矿权出让", MINING),
    column("M3", "M3 采矿权审批", MINING),
    column("M4", "M4 采矿权出让", MINING),
    column("基本", "基本信息", CREDIT),
    column("资质", "资质", CREDIT),
    column("业绩", "业绩", CREDIT),
    column("信用评价", "信用评价", CREDIT),
    column("良好行为", "良好行为", CREDIT),
    column("不良行为", "不良行为", CREDIT),
];

const fn column(id: &'static str, name: &'static str, family: &'static str) -> Column {
    Column { id, name, family }
}
