// Grafana's types, as strict as JSON can meet them.
import type { Dashboard, FieldConfig, Panel, RowPanel, VariableModel } from '@grafana/schema';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as states from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the values of enums where TypeScript wants their names.
type Plain<T> = T extends string
  ? `${T}`
  : T extends object
    ? { [K in keyof T]: Plain<T[K]> }
    : T;

// Grafana fills in what a panel leaves out, at any depth.
type Part<T> = T extends object ? { [K in keyof T]?: Part<T[K]> } : T;

// Panel itself takes any options at all.
type Shown<Type, Options, Custom> = Plain<
  Omit<Panel, 'type' | 'options' | 'fieldConfig'> & {
    type: Type;
    options?: Part<Options>;
    fieldConfig?: Omit<NonNullable<Panel['fieldConfig']>, 'defaults'> & {
      defaults: Omit<FieldConfig, 'custom'> & { custom?: Part<Custom> };
    };
  }
>;

// What the builders for Grafana 11 always write and Grafana 13 does not read any more.
type OldVariable = VariableModel & { auto: false; auto_min: string; auto_count: number };
type OldTable = table.Options & {
  footer: { show: false; countRows: false; reducer: [] };
};

export type Frame = Plain<
  Omit<Dashboard, 'panels' | 'templating'> & { templating: { list: OldVariable[] } }
>;
export type Row = Plain<RowPanel>;
export type Stat = Shown<'stat', stat.Options, never>;
export type States = Shown<'state-timeline', states.Options, states.FieldConfig>;
export type Table = Shown<'table', OldTable, table.FieldConfig>;
export type Lines = Shown<'timeseries', timeseries.Options, timeseries.FieldConfig>;
