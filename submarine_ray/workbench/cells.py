"""How the cells of tables are drawn in the browser, in Vue's templates; what users wrote is only ever text in them."""

CELLS = {
    "text": '<span class="cut" :title="props.value">{{ props.value }}</span>',
    "wrap": '<span class="anywhere">{{ props.value }}</span>',
    "value": (
        '<span class="cut figures" :title="props.value">{{ props.value }}</span>'
        '<span v-if="props.row[props.col.name + \'_range\']" class="cut figures quiet small" '
        ":title=\"props.row[props.col.name + '_range']\">{{ props.row[props.col.name + '_range'] }}</span>"
    ),
    "mono": '<span class="mono cut" :title="props.value">{{ props.value }}</span>',
    "link": '<a class="cut" :href="props.row.href" :title="props.value">{{ props.value }}</a>',
    "named": (
        '<button v-if="props.row.open !== undefined" type="button" class="group cut" :aria-expanded="props.row.open" '
        ':title="props.value" @click="$parent.$emit(\'open\', props.row.experimentId)">'
        '<i class="q-icon material-icons" aria-hidden="true">'
        "{{ props.row.open === 'true' ? 'expand_more' : 'chevron_right' }}</i>{{ props.value }} "
        '<span class="chip">{{ props.row.count }}</span></button>'
        '<button v-else-if="props.row.more" type="button" class="group more" '
        "@click=\"$parent.$emit('more', props.row.experimentId)\">{{ props.value }}</button>"
        '<a v-else class="cut" :href="props.row.href" :title="props.value">{{ props.value }}</a>'
        '<span v-if="props.row.why" class="cut why quiet small" :title="props.row.why">{{ props.row.why }}</span>'
    ),
    "status": '<span v-if="props.value" class="badge" :data-state="props.row.state">{{ props.value }}</span>',
    "ago": "<time-ago :at=\"props.value || ''\"></time-ago>",
    "taken": "<time-taken :from=\"props.row.from || ''\" :to=\"props.row.to || ''\"></time-taken>",
    "copy": (
        '<q-btn v-if="props.value" flat round dense size="sm" icon="content_copy" :data-copy="props.value" '
        ":aria-label=\"'Copy the URL ' + props.value\"><q-tooltip>{{ props.value }}</q-tooltip></q-btn>"
    ),
    "chips": '<span v-for="one in props.value" class="chip" style="margin-right:4px">{{ one }}</span>',
}
HEADING = (
    '<q-th :props="props" :title="props.col.title" :aria-sort="props.col.order">'
    '<button v-if="props.col.sortBy" type="button" class="sort" @click="$parent.$emit(\'sort\', props.col.sortBy)">'
    '{{ props.col.label }}<span aria-hidden="true">{{ '
    "{ascending: ' ↑', descending: ' ↓'}[props.col.order] || '' }}</span></button>"
    # The heading itself takes the click and sorts; the button is for the keyboard.
    '<button v-else-if="props.col.sortable" type="button" class="sort">{{ props.col.label }}</button>'
    "<template v-else>{{ props.col.label }}</template></q-th>"
)
SELECT_ALL = '<q-checkbox dense v-model="props.selected" aria-label="Select all rows shown"></q-checkbox>'
SELECT = (
    '<q-checkbox v-if="props.row.open === undefined && !props.row.more" dense v-model="props.selected" '
    ":aria-label=\"'Select ' + (props.row.name || props.row.KEY)\"></q-checkbox>"
)
