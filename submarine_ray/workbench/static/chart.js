// A chart that stands as soon as it is mounted. NiceGUI's own stands a moment later, and fails if it is taken away before that.
import { echarts } from "nicegui-echart";

export default {
  template: "<div></div>",
  props: { options: Object, renderer: String, enable3d: Boolean, theme: String },
  mounted() {
    this.chart = echarts.init(this.$el, null, { renderer: "canvas" });
    this.resized = new ResizeObserver(() => this.chart.resize());
    this.resized.observe(this.$el);
    this.chart.on("click", (event) => event.data?.href && location.assign(event.data.href));
    this.update_chart();
  },
  beforeUnmount() {
    this.resized.disconnect();
    this.chart.dispose();
  },
  methods: {
    update_chart() {
      const isOther = this.chart.getOption()?.series?.length !== this.options.series?.length;
      this.chart.setOption(this.options, { notMerge: isOther });
    },
  },
};
