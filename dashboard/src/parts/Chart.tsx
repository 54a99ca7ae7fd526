// Lines over time, with units. Drawn by uPlot; what it shows is also said in words.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { clock } from "../lib/format";
import { cssColor, isDark } from "../lib/theme";

export interface Series {
  label: string;
  values: readonly number[];
  /** What is told of it where it is drawn on top of others. */
  own?: readonly number[];
  /** A colour of the style sheet. */
  color: string;
  /** Filled down to the next one. */
  fill?: boolean;
  /** Drawn as a limit. */
  dashed?: boolean;
}

interface Props {
  title: string;
  /** Unix seconds. */
  times: readonly number[];
  series: readonly Series[];
  format: (value: number) => string;
  height?: number;
  /** Whether the numbers are bytes, whose round numbers are powers of two. */
  binary?: boolean;
  /** Charts of one group share their cursor. */
  group?: string;
}

const BINARY_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** The time of day, with seconds only where they matter. */
function timeLabel(seconds: number, step: number): string {
  const text = clock(seconds * 1_000);
  return step >= 60 ? text.slice(0, 5) : text;
}

/** Adds each series to those before it, so that fills stack. */
export function stack(series: readonly Series[]): Series[] {
  const sums: number[] = [];
  return series.map((one) => {
    const values = one.values.map((value, at) => (sums[at] = (sums[at] ?? 0) + value));
    return { ...one, own: one.values, values };
  });
}

function options(props: Props, width: number): uPlot.Options {
  const axis = { stroke: cssColor("muted"), grid: { stroke: cssColor("grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width,
    height: props.height ?? 150,
    padding: [10, 30, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, ...(props.group ? { sync: { key: props.group } } : {}) },
    scales: { y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      { ...axis, space: 76, size: 26, values: (_, ticks, __, ___, step) => ticks.map((at) => timeLabel(at, step)) },
      { ...axis, size: 70, space: 34, ...(props.binary ? { incrs: BINARY_STEPS } : {}), values: (_, ticks) => ticks.map(props.format) },
    ],
    series: [
      {},
      ...props.series.map((one): uPlot.Series => {
        const color = cssColor(one.color);
        return {
          label: one.label,
          stroke: color,
          width: one.dashed ? 1 : 1.5,
          points: { show: false },
          ...(one.dashed ? { dash: [4, 4] } : {}),
          ...(one.fill ? { fill: `color-mix(in srgb, ${color} 22%, transparent)` } : {}),
        };
      }),
    ],
    hooks: {},
  };
}

export function Chart(props: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  // The point under the pointer; none means the last.
  const [at, setAt] = useState<number>();
  const shape = `${props.series.map((one) => one.label).join()}|${isDark.value}`;
  const dataOf = (): uPlot.AlignedData => [props.times, ...props.series.map((one) => one.values)] as uPlot.AlignedData;

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = options(props, element.clientWidth);
    made.hooks = { setCursor: [(chart) => setAt(chart.cursor.idx ?? undefined)] };
    const chart = new uPlot(made, dataOf(), element);
    plot.current = chart;
    const watch = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: props.height ?? 150 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.destroy();
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(dataOf());
  }, [props.times, props.series]);

  const told = (one: Series, index: number | undefined): string => {
    const values = one.own ?? one.values;
    const value = values[index ?? values.length - 1];
    return value === undefined ? "–" : props.format(value);
  };
  return (
    <figure class="chart" aria-label={`${props.title}: ${props.series.map((one) => `${one.label} ${told(one, undefined)}`).join(", ")}`}>
      <figcaption>
        <h2>{props.title}</h2>
        <div class="legend">
          {props.series.map((one) => (
            <span key={one.label} class={`legend-item swatch-${one.color}`}>
              {one.label} <b>{told(one, at)}</b>
            </span>
          ))}
        </div>
      </figcaption>
      <div class="plot" ref={box} aria-hidden="true" />
    </figure>
  );
}
